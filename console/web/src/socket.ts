// The connection to the feed: opens it, watches it, brings it back.
import { signal } from "@preact/signals";
import { whoAmI, Refused } from "./api";
import type { Message, Request } from "./feed";
import { apply } from "./store";

export type Link =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "reconnecting"; at: number }; // tries again at this time, ms; 0: right now

export const link = signal<Link>({ kind: "connecting" });

const firstPause = 500;
const longestPause = 15_000;
const silence = 45_000; // the server beats every 20 s
const sessionEnded = 4401;

let socket: WebSocket | null = null;
let timer = 0;
let watchdog = 0;
let failures = 0;
let wanted = false;
let resyncing = false;
let onEnd: () => void = () => {};

// connect opens the feed and keeps it open; ended is called when the session is over.
export function connect(ended: () => void) {
  onEnd = ended;
  wanted = true;
  failures = 0;
  link.value = { kind: "connecting" };
  open();
}

export function disconnect() {
  wanted = false;
  clearTimeout(timer);
  clearTimeout(watchdog);
  socket?.close();
  socket = null;
}

// retryNow skips what is left of the pause.
export function retryNow() {
  if (wanted && !socket) {
    clearTimeout(timer);
    void again();
  }
}

function open() {
  const url = new URL("api/feed", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  const s = new WebSocket(url);
  socket = s;
  watch(s);
  s.onmessage = (e) => receive(s, e.data as string);
  s.onclose = (e) => closed(s, e.code);
}

function receive(s: WebSocket, data: string) {
  if (s !== socket) {
    return;
  }
  watch(s);
  const m = JSON.parse(data) as Message;
  if (apply(m)) {
    resyncing = resyncing && m.type !== "snapshot";
    failures = 0;
    link.value = { kind: "live" };
  } else if (!resyncing) {
    resyncing = true;
    const request: Request = { type: "resync" };
    s.send(JSON.stringify(request));
  }
}

// watch closes a connection that has gone silent: a pulled cable tells nobody.
function watch(s: WebSocket) {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => drop(s), silence);
}

function drop(s: WebSocket) {
  s.close();
  closed(s, 1006);
}

function closed(s: WebSocket, code: number) {
  if (s !== socket) {
    return;
  }
  socket = null;
  resyncing = false;
  clearTimeout(watchdog);
  if (code === sessionEnded) {
    wanted = false;
    onEnd();
  } else if (wanted) {
    later();
  }
}

function later() {
  const pause = Math.min(longestPause, firstPause * 2 ** failures) * (0.8 + 0.4 * Math.random());
  failures++;
  link.value = { kind: "reconnecting", at: Date.now() + pause };
  timer = setTimeout(again, pause);
}

// again asks first whether the session still stands: a refused websocket does not say why.
async function again() {
  link.value = { kind: "reconnecting", at: 0 };
  try {
    await whoAmI();
  } catch (e) {
    if (e instanceof Refused && e.status === 401) {
      wanted = false;
      onEnd();
    } else if (wanted) {
      later();
    }
    return;
  }
  if (wanted && !socket) {
    open();
  }
}

addEventListener("online", retryNow);
addEventListener("offline", () => socket && drop(socket));
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") {
    retryNow();
  }
});
