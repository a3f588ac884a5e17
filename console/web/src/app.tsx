// The frame around the pages, and which page is shown.
import { useEffect } from "preact/hooks";
import { now } from "./clock";
import { DesktopPage } from "./desktop";
import { DesktopsPage } from "./desktops";
import { EndpointsPage } from "./endpoints";
import { moment } from "./format";
import * as icon from "./icons";
import { Login } from "./login";
import { OverviewPage } from "./overview";
import { Notice } from "./parts";
import { href, route } from "./route";
import { resume, session, signOut } from "./session";
import { link } from "./socket";
import { health, readAt, totals } from "./store";
import { ThemeSwitch } from "./themeswitch";
import { Title } from "./title";

export function App() {
  useEffect(() => void resume(), []);
  const s = session.value;
  switch (s.kind) {
    case "asking":
      return <div class="splash" role="status" aria-label="Loading"><icon.Logo class="splash-mark" /></div>;
    case "unreachable":
      return (
        <div class="splash">
          <icon.Logo class="splash-mark still" />
          <p role="alert">{s.message}</p>
          <button type="button" class="button primary" onClick={resume}>Try again</button>
        </div>
      );
    case "out":
      return <Login note={s.note} />;
    case "in":
      return <Shell user={s.who.user} version={s.who.version} />;
  }
}

function Shell(props: { user: string; version: string }) {
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <aside class="side">
        <a class="brand" href={href()}><icon.Logo class="brand-mark" /><span>Looming</span></a>
        <Nav />
        <div class="side-foot">
          <ThemeSwitch />
          <div class="me">
            <span class="avatar" aria-hidden="true">{props.user.slice(0, 1).toUpperCase()}</span>
            <span class="me-text"><b>{props.user}</b><small>{props.version ? `Looming ${props.version}` : "Administrator"}</small></span>
            <button type="button" class="icon-button" aria-label="Sign out" title="Sign out" onClick={signOut}><icon.Leave /></button>
          </div>
        </div>
      </aside>
      <main id="main" tabIndex={-1}>
        <Stale />
        <Body />
      </main>
    </div>
  );
}

// skip moves the focus without touching the hash, which is the route.
function skip(e: Event) {
  e.preventDefault();
  document.getElementById("main")?.focus();
}

function Nav() {
  const at = route.value.path[0] ?? "";
  const pending = totals.value?.pending ?? 0;
  const item = (to: string, name: string, Icon: (p: { class?: string }) => preact.JSX.Element, badge = 0) => (
    <a href={to === "" ? href() : href(to)} aria-current={at === to ? "page" : undefined}>
      <Icon /><span>{name}</span>
      {badge > 0 && <b class="badge" aria-label={`${badge} waiting for approval`}>{badge}</b>}
    </a>
  );
  return (
    <nav aria-label="Pages">
      {item("", "Overview", icon.Overview)}
      {item("endpoints", "Endpoints", icon.Endpoints, pending)}
      {item("desktops", "Desktops", icon.Desktops)}
    </nav>
  );
}

function Body() {
  const [page, item] = route.value.path;
  switch (page) {
    case undefined:
      return <OverviewPage />;
    case "endpoints":
      return <EndpointsPage />;
    case "desktops":
      return item ? <DesktopPage key={item} name={item} /> : <DesktopsPage />;
    default:
      return <Title name="Not found"><p class="lead">This page does not exist. <a href={href()}>Go to the overview</a>.</p></Title>;
  }
}

// Stale says that the figures are old, and since when.
function Stale() {
  const h = health.value;
  const l = link.value;
  if (!h.ok) {
    return <Notice tone="bad">{h.message}</Notice>;
  }
  if (l.kind === "reconnecting" && readAt.value > 0 && now.value - readAt.value > 5000) {
    return <Notice tone="warn">The connection to the server is lost. Figures are as of {moment(new Date(readAt.value).toISOString())}; the page reconnects by itself.</Notice>;
  }
  return null;
}
