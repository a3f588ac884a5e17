// Who is signed in, and how that begins and ends.
import { signal } from "@preact/signals";
import * as api from "./api";
import type { Who } from "./feed";
import { connect, disconnect } from "./socket";
import { clear } from "./store";

export type Session =
  | { kind: "asking" }
  | { kind: "out"; note?: string }
  | { kind: "in"; who: Who }
  | { kind: "unreachable"; message: string };

export const session = signal<Session>({ kind: "asking" });

export async function resume() {
  session.value = { kind: "asking" };
  try {
    enter(await api.whoAmI());
  } catch (e) {
    if (e instanceof api.Refused && e.status === 401) {
      session.value = { kind: "out" };
    } else {
      session.value = { kind: "unreachable", message: (e as Error).message };
    }
  }
}

export async function signIn(user: string, password: string) {
  enter(await api.login(user, password));
}

export async function signOut() {
  try {
    await api.logout();
    leave();
  } catch (e) {
    if (!ended(e)) {
      leave("The server did not answer, so the session is still open there. Sign in and out again when it is back.");
    }
  }
}

function enter(who: Who) {
  session.value = { kind: "in", who };
  connect(() => leave("Your session has ended. Sign in again to go on."));
}

function leave(note?: string) {
  disconnect();
  clear();
  session.value = { kind: "out", note };
}

// ended is for a request that came back with 401.
export function ended(e: unknown): boolean {
  if (e instanceof api.Refused && e.status === 401) {
    leave("Your session has ended. Sign in again to go on.");
    return true;
  }
  return false;
}
