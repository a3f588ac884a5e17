// The one live model of the page. Only apply() changes it.
import { batch, signal, type Signal } from "@preact/signals";
import type { Desktop, Endpoint, Health, Message, Model, Stream, Totals, Upload, Volume } from "./feed";

// A list as a signal of its items by key; revision counts its changes, for tables that ask the server again.
interface List<T> {
  items: Signal<ReadonlyMap<string, T>>;
  revision: Signal<number>;
  key: (item: T) => string;
}

function list<T>(key: (item: T) => string): List<T> {
  return { items: signal(new Map()), revision: signal(0), key };
}

export const live = {
  endpoints: list<Endpoint>((e) => e.id),
  streams: list<Stream>((s) => s.id),
  uploads: list<Upload>((u) => u.id),
  desktops: list<Desktop>((d) => d.name),
  volumes: list<Volume>((v) => v.name),
};

export const totals = signal<Totals | null>(null); // null: nothing has come yet
export const health = signal<Health>({ ok: true });
export const readAt = signal<number>(0); // when the server last read the model, this machine's clock, ms

let seq = 0;
let skew = 0; // this machine's clock minus the server's, ms

// serverNow is the server's clock, as well as this page knows it.
export function serverNow(): number {
  return Date.now() - skew;
}

const names = ["endpoints", "streams", "uploads", "desktops", "volumes"] as const;

// apply takes one message. False: it does not follow what is here, so the page must resync.
export function apply(m: Message): boolean {
  if (m.type === "snapshot" && m.model) {
    const model = m.model;
    batch(() => replace(m, model));
    return true;
  }
  if (m.type === "beat") {
    return m.seq === seq;
  }
  if (m.seq !== seq + 1) {
    return false;
  }
  batch(() => change(m));
  return true;
}

function replace(m: Message, model: Model) {
  for (const name of names) {
    fill(live[name] as List<unknown>, model[name]);
  }
  totals.value = model.totals;
  note(m);
}

function fill<T>(l: List<T>, items: T[]) {
  l.items.value = new Map(items.map((i) => [l.key(i), i]));
  l.revision.value++;
}

function change(m: Message) {
  for (const name of names) {
    patch(live[name] as List<unknown>, m.upsert?.[name], m.remove?.[name]);
  }
  if (m.upsert?.totals) {
    totals.value = m.upsert.totals;
  }
  note(m);
}

function patch<T>(l: List<T>, upsert: T[] = [], remove: string[] = []) {
  if (upsert.length === 0 && remove.length === 0) {
    return;
  }
  const next = new Map(l.items.value);
  for (const k of remove) {
    next.delete(k);
  }
  for (const i of upsert) {
    next.set(l.key(i), i);
  }
  l.items.value = next;
  l.revision.value++;
}

function note(m: Message) {
  seq = m.seq;
  skew = Date.now() - Date.parse(m.at);
  readAt.value = Date.now();
  if (m.health) {
    health.value = m.health;
  }
}

// clear forgets everything, as after a logout.
export function clear() {
  batch(() => {
    for (const name of names) {
      fill(live[name] as List<unknown>, []);
    }
    totals.value = null;
    health.value = { ok: true };
    seq = 0;
  });
}
