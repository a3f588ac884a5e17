// The console's JSON. Every failure is a Refused whose message is meant for the person.
import type { Credentials, Desktop, Endpoint, Page, Problem, Snapshot, Who } from "./feed";

export class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

async function call(path: string, init?: RequestInit): Promise<Response> {
  let res: Response;
  try {
    res = await fetch(new URL(path, document.baseURI), { ...init, signal: init?.signal ?? AbortSignal.timeout(20_000) });
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") {
      throw e;
    }
    throw new Refused(0, "The server does not answer. Check the network, then try again.");
  }
  if (!res.ok) {
    throw await refusal(res);
  }
  return res;
}

async function refusal(res: Response): Promise<Refused> {
  try {
    const p = (await res.json()) as Problem;
    return new Refused(res.status, p.detail);
  } catch {
    return new Refused(res.status, `The server answered ${res.status} ${res.statusText}.`);
  }
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await call(path, { signal })).json() as Promise<T>;
}

export const whoAmI = () => get<Who>("api/me");

export async function login(user: string, password: string): Promise<Who> {
  const body: Credentials = { user, password };
  const res = await call("api/login", { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  return res.json() as Promise<Who>;
}

export const logout = () => call("api/logout", { method: "POST" });

export const approve = (id: string) => call(`api/endpoints/${encodeURIComponent(id)}/approve`, { method: "POST" });
export const revoke = (id: string) => call(`api/endpoints/${encodeURIComponent(id)}/revoke`, { method: "POST" });

// Ask is one page of a table; sort is a column, with "-" in front for descending.
export interface Ask {
  q: string;
  state: string;
  sort: string;
  offset: number;
  limit: number;
}

function query(a: Ask, more: Record<string, string> = {}): string {
  const p = new URLSearchParams(more);
  for (const [k, v] of Object.entries(a)) {
    if (v !== "" && v !== 0) {
      p.set(k, String(v));
    }
  }
  return p.toString();
}

export const listEndpoints = (a: Ask, s: AbortSignal) => get<Page<Endpoint>>(`api/endpoints?${query(a)}`, s);
export const listDesktops = (a: Ask, s: AbortSignal) => get<Page<Desktop>>(`api/desktops?${query(a)}`, s);
export const listSnapshots = (cvd: string, a: Ask, s: AbortSignal) => get<Page<Snapshot>>(`api/snapshots?${query(a, { cvd })}`, s);
