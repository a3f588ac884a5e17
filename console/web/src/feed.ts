// What crosses the network, exactly as package console defines it in model.go, feed.go, query.go, api.go and login.go.
// A Go test compares the two field by field. Byte figures are numbers of bytes, times RFC 3339 in UTC.

export type State = "pending" | "approved" | "revoked";

export type Phase =
  | "listing" | "start" | "filling" | "verifying" | "waiting" | "pivoting" | "native"
  | "scanning" | "uploading" | "committing" | "committed"
  | "offline" | "stopped" | "failed";

export interface Model {
  endpoints: Endpoint[];
  streams: Stream[];
  uploads: Upload[];
  desktops: Desktop[];
  volumes: Volume[];
  totals: Totals;
}

export interface Endpoint {
  id: string;
  name: string;
  hostname: string;
  key: string;
  address: string;
  os: string;
  state: State;
  online: boolean;
  last_seen?: string;
  activity: string;
}

export interface Stream {
  id: string;
  device: string;
  cvd: string;
  snapshot: string;
  target: string;
  phase: Phase;
  message?: string;
  start_done: number;
  start_total: number;
  bytes_done: number;
  bytes_total: number;
  files_done: number;
  files_total: number;
  demand_bytes: number;
  prefetch_bytes: number;
  demand_count: number;
  current?: string;
  bytes_per_second: number;
  eta_seconds: number | null;
  rate_history?: number[];
  misses?: Miss[];
  started?: string;
  updated?: string;
}

export interface Miss {
  path: string;
  bytes: number;
  wait_ms: number;
  at?: string;
}

export interface Upload {
  id: string;
  device: string;
  cvd: string;
  phase: Phase;
  message?: string;
  files_done: number;
  bytes_read: number;
  bytes_sent: number;
  bytes_per_second: number;
  current?: string;
  started?: string;
  updated?: string;
}

export interface Desktop {
  name: string;
  owner: string;
  snapshots: number;
  last_snapshot?: string;
  logical_bytes: number;
  stored_bytes: number;
  unique_bytes: number;
  saved_bytes: number;
  saved_share: number;
}

export interface Snapshot {
  id: string;
  cvd: string;
  device: string;
  at: string;
  files: number;
  logical_bytes: number;
  new_bytes: number;
}

export interface Volume {
  name: string;
  used_bytes: number;
  free_bytes: number;
  message?: string;
}

export interface Totals {
  endpoints: number;
  online: number;
  pending: number;
  streams: number;
  uploads: number;
  desktops: number;
  snapshots: number;
  logical_bytes: number;
  stored_bytes: number;
  dedup_saved_bytes: number;
  compression_saved_bytes: number;
}

export interface Message {
  type: "snapshot" | "change" | "beat";
  seq: number;
  at: string;
  health?: Health;
  model?: Model;
  upsert?: Upserts;
  remove?: Removals;
}

export interface Health {
  ok: boolean;
  message?: string;
}

export interface Upserts {
  endpoints?: Endpoint[];
  streams?: Stream[];
  uploads?: Upload[];
  desktops?: Desktop[];
  volumes?: Volume[];
  totals?: Totals;
}

export interface Removals {
  endpoints?: string[];
  streams?: string[];
  uploads?: string[];
  desktops?: string[];
  volumes?: string[];
}

export interface Request {
  type: "resync";
}

export interface Page<T> {
  items: T[];
  total: number;
  offset: number;
  limit: number;
}

export interface Problem {
  title: string;
  status: number;
  detail: string;
}

export interface Who {
  user: string;
  version: string;
}

export interface Credentials {
  user: string;
  password: string;
}
