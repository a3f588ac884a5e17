// Line icons on a 20 px grid, drawn for this page.
import type { JSX } from "preact";

function icon(...children: JSX.Element[]) {
  return (props: { class?: string }) => (
    <svg class={`icon ${props.class ?? ""}`} viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.6"
      stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{children}</svg>
  );
}

export const Overview = icon(<path d="M3 12.5 7 8l3.2 3L17 4.5" />, <path d="M3 16.5h14" />);
export const Endpoints = icon(<rect x="2.5" y="3.5" width="11" height="8" rx="1.5" />, <path d="M5.5 15.5h5M8 11.5v4" />, <rect x="14.5" y="7.5" width="3.5" height="9" rx="1" />);
export const Desktops = icon(<path d="m10 2.8 7 3.6-7 3.6-7-3.6z" />, <path d="m3 10 7 3.6 7-3.6" />, <path d="m3 13.6 7 3.6 7-3.6" />);
export const Sun = icon(<circle cx="10" cy="10" r="3.2" />, <path d="M10 2.5v1.8M10 15.7v1.8M2.5 10h1.8M15.7 10h1.8M4.7 4.7 6 6M14 14l1.3 1.3M4.7 15.3 6 14M14 6l1.3-1.3" />);
export const Moon = icon(<path d="M16.5 11.8A6.8 6.8 0 0 1 8.2 3.5a6.8 6.8 0 1 0 8.3 8.3Z" />);
export const Auto = icon(<circle cx="10" cy="10" r="6.8" />, <path d="M10 3.2v13.6a6.8 6.8 0 0 0 0-13.6Z" fill="currentColor" stroke="none" />);
export const Leave = icon(<path d="M8 3.5H5A1.5 1.5 0 0 0 3.5 5v10A1.5 1.5 0 0 0 5 16.500h3M12.5 13.5 16 10l-3.5-3.500M16 10H8" />);
export const Search = icon(<circle cx="9" cy="9" r="5.2" />, <path d="m13 13 3.5 3.5" />);
export const Copy = icon(<rect x="7" y="7" width="9.5" height="9.5" rx="1.5" />, <path d="M13 4.500A1.5 1.5 0 0 0 11.5 3.500H5A1.5 1.5 0 0 0 3.5 5v6.500A1.5 1.5 0 0 0 4.5 13" />);
export const Check = icon(<path d="m4.5 10.5 3.7 3.7 7.3-8" />);
export const Up = icon(<path d="M10 15.500v-11M5.5 9 10 4.5 14.5 9" />);
export const Down = icon(<path d="M10 4.500v11M5.5 11 10 15.5 14.5 11" />);
export const Left = icon(<path d="M12.5 4.5 7 10l5.5 5.5" />);
export const Right = icon(<path d="M7.5 4.5 13 10l-5.5 5.5" />);
export const Warn = icon(<path d="M10 3.2 17.5 16.300h-15zM10 8.200v3.600M10 14.100v.1" />);
export const Clock = icon(<circle cx="10" cy="10" r="6.8" />, <path d="M10 6.200V10l2.6 1.7" />);
export const Close = icon(<path d="m5.5 5.5 9 9M14.5 5.500l-9 9" />);

// Logo is a screen above the horizon with its mirage below.
export function Logo(props: { class?: string }) {
  return (
    <svg class={props.class} viewBox="0 0 32 32" aria-hidden="true">
      <rect class="logo-ground" width="32" height="32" rx="8" />
      <g fill="#fff">
        <rect x="8" y="6.5" width="16" height="10" rx="2" />
        <rect x="5" y="19.2" width="22" height="1.8" rx=".9" />
        <rect x="9" y="22.6" width="14" height="1.6" rx=".8" opacity=".65" />
        <rect x="12.5" y="25.6" width="7" height="1.4" rx=".7" opacity=".4" />
      </g>
    </svg>
  );
}
