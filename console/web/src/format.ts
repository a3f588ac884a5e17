// Numbers, times and names for people.

const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

// bytes in powers of 1000, three digits: 1.94 GB.
export function bytes(n: number): string {
  let u = 0;
  let x = Math.max(0, n);
  while (x >= 999.5 && u < units.length - 1) {
    x /= 1000;
    u++;
  }
  return `${u === 0 ? Math.round(x) : digits(x)} ${units[u]}`;
}

function digits(x: number): string {
  return x >= 99.95 ? x.toFixed(0) : x >= 9.995 ? x.toFixed(1) : x.toFixed(2);
}

export const rate = (n: number) => `${bytes(n)}/s`;

export const count = (n: number) => n.toLocaleString("en-US");

// plural gives "1 file", "2 files".
export const plural = (n: number, one: string, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// share as a whole per cent that says 100 only when all is there.
export function percent(part: number, all: number): string {
  return `${Math.floor(fraction(part, all) * 100)} %`;
}

export function fraction(part: number, all: number): number {
  return all > 0 ? Math.min(1, Math.max(0, part / all)) : 0;
}

// duration in the two largest units that matter: 1 h 12 min.
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) {
    return `${s} s`;
  }
  const m = Math.round(s / 60);
  if (s < 600) {
    return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  }
  if (m < 60) {
    return `${m} min`;
  }
  const h = Math.floor(m / 60);
  if (h < 48) {
    return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
  }
  return `${Math.round(h / 24)} days`;
}

export function waited(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

// ago says how long before now (ms) a time was; now is the server's clock.
export function ago(time: string | undefined, now: number): string {
  if (!time) {
    return "never";
  }
  const s = (now - Date.parse(time)) / 1000;
  if (s < 5) {
    return "just now";
  }
  if (s < 60) {
    return `${Math.floor(s / 5) * 5} s ago`;
  }
  if (s < 3600) {
    return `${Math.floor(s / 60)} min ago`;
  }
  if (s < 86_400) {
    return `${Math.floor(s / 3600)} h ago`;
  }
  const d = Math.floor(s / 86_400);
  return d < 60 ? plural(d, "day") + " ago" : moment(time);
}

const whenFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

// moment is a date and time in the reader's time zone.
export function moment(time: string | undefined): string {
  return time ? whenFormat.format(new Date(time)) : "never";
}

// short is the beginning of an id, enough to tell it from its neighbours.
export const short = (id: string) => (id.length > 14 ? id.slice(0, 12) : id);
