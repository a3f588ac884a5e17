// The overview: what is kept, who asks in, what moves now.
import { useState } from "preact/hooks";
import { serverTime } from "./clock";
import { NoDesktops } from "./desktops";
import type { Endpoint, Stream, Totals, Volume } from "./feed";
import { ago, bytes, count, fraction, percent, plural, rate } from "./format";
import * as icon from "./icons";
import { Bar, Command, Empty, Panel, Spark } from "./parts";
import { isOver } from "./phases";
import { href } from "./route";
import { live, totals } from "./store";
import { StreamCard } from "./stream";
import { Title } from "./title";
import { TrustButton, TrustDialog } from "./trust";
import { UploadRow } from "./uploads";

export function OverviewPage() {
  const t = totals.value;
  return (
    <>
      <Title name="Overview" />
      {t ? <Content totals={t} /> : <div class="skeleton blocks" role="status" aria-label="Loading"><i /><i /><i /></div>}
      <TrustDialog />
    </>
  );
}

function Content(props: { totals: Totals }) {
  const t = props.totals;
  const streams = [...live.streams.items.value.values()].sort(byInterest);
  const uploads = [...live.uploads.items.value.values()];
  const pending = [...live.endpoints.items.value.values()].filter((e) => e.state === "pending");
  if (t.endpoints === 0) return <FirstSteps />;
  return (
    <>
      {pending.length > 0 && <Asking endpoints={pending} all={t.pending} />}
      <div class="top">
        <Storage totals={t} />
        <Fleet totals={t} streams={streams} />
      </div>
      <Streams streams={streams} totals={t} />
      {uploads.length > 0 && (
        <Panel title="Centralizing" id="uploads" note={plural(t.uploads, "snapshot") + " under way"}>
          {uploads.map((u) => <UploadRow key={u.id} upload={u} />)}
        </Panel>
      )}
    </>
  );
}

// FirstSteps is what a new installation shows: the way from nothing to a desktop that streams.
function FirstSteps() {
  return (
    <section class="first panel" aria-labelledby="first">
      <icon.Logo class="empty-mark" />
      <h2 id="first">Bring the first desktop here</h2>
      <ol>
        <li><div><b>Let a machine ask in.</b> Run this on it, as root.</div><Command line={`looming enroll ${location.origin}`} /></li>
        <li><div><b>Approve it.</b> It then appears on this page with its device id.</div></li>
        <li><div><b>Centralize its desktop.</b> The whole file system becomes a snapshot here.</div><Command line="looming snapshot --root / --cvd NAME" /></li>
        <li><div><b>Stream it to another machine.</b> Usable at once, native at the end.</div><Command line="looming stream --cvd NAME TARGET" /></li>
      </ol>
    </section>
  );
}

// byInterest puts what moves before what is over, newest first.
function byInterest(a: Stream, b: Stream): number {
  const over = Number(isOver(a.phase)) - Number(isOver(b.phase));
  return over || Date.parse(b.started ?? "") - Date.parse(a.started ?? "") || a.id.localeCompare(b.id);
}

function Asking(props: { endpoints: Endpoint[]; all: number }) {
  const shown = props.endpoints.slice(0, 3);
  return (
    <section class="asking" aria-label="Devices waiting for approval">
      <header>
        <h2>{plural(props.all, "device asks", "devices ask")} to come in</h2>
        {props.all > shown.length && <a href={`${href("endpoints")}?state=pending`}>Show all</a>}
      </header>
      <ul>
        {shown.map((e) => (
          <li key={e.id} data-endpoint={e.id}>
            <span class="two-lines"><b>{e.name || e.hostname || e.id}</b><small class="mono" title="The fingerprint of its key, as looming enroll prints it">{e.key || e.id}</small></span>
            <span class="faint asking-where">{e.os} · {e.address} · {ago(e.last_seen, serverTime.value)}</span>
            <TrustButton endpoint={e} verb="approve" />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Storage(props: { totals: Totals }) {
  const t = props.totals;
  const saved = t.dedup_saved_bytes + t.compression_saved_bytes;
  const times = t.stored_bytes > 0 ? t.logical_bytes / t.stored_bytes : 1;
  const volumes = [...live.volumes.items.value.values()];
  if (t.desktops === 0) {
    return <section class="panel" aria-label="Storage"><NoDesktops /></section>;
  }
  return (
    <Panel title="Storage" id="storage" class="storage-panel" note={<>{plural(t.desktops, "desktop")}, {plural(t.snapshots, "snapshot")}</>}>
      <div class="storage-hero">
        <p class="hero-number">{percent(saved, t.logical_bytes)}<span>saved</span></p>
        <p class="hero-text">{bytes(t.logical_bytes)} of desktops are kept in <b>{bytes(t.stored_bytes)}</b>, {times.toFixed(1)} times less.</p>
      </div>
      <Bar label="What is stored and what is saved" all={t.logical_bytes} done={t.stored_bytes} text={`${bytes(t.stored_bytes)} stored of ${bytes(t.logical_bytes)}`}
        segments={[{ kind: "stored", value: t.stored_bytes }, { kind: "compression", value: t.compression_saved_bytes }, { kind: "dedup", value: t.dedup_saved_bytes }]} />
      <ul class="legend spread">
        <li><i class="stored" />Stored <b>{bytes(t.stored_bytes)}</b></li>
        <li><i class="compression" />Saved by compression <b>{bytes(t.compression_saved_bytes)}</b></li>
        <li><i class="dedup" />Saved by deduplication <b>{bytes(t.dedup_saved_bytes)}</b></li>
      </ul>
      {volumes.length > 0 && <div class="volumes">{volumes.map((v) => <VolumeRow key={v.name} volume={v} />)}</div>}
    </Panel>
  );
}

const fullShare = 0.9; // a volume fuller than this is worth a warning

function VolumeRow(props: { volume: Volume }) {
  const v = props.volume;
  const bounded = v.free_bytes >= 0;
  const all = v.used_bytes + Math.max(0, v.free_bytes);
  const full = bounded && fraction(v.used_bytes, all) > fullShare;
  const text = bounded ? `${bytes(v.free_bytes)} free` : "no limit";
  return (
    <div class={`volume ${full || v.message ? "full" : ""}`}>
      <span class="volume-name" title={v.name}>{v.name}</span>
      <Bar label={`Volume ${v.name}`} all={all} done={v.used_bytes} text={text} size="thin" segments={[{ kind: full ? "full" : "used", value: bounded ? v.used_bytes : 0 }]} />
      <span class="volume-free">{v.message ?? `${bytes(v.used_bytes)} used, ${text}`}</span>
    </div>
  );
}

function Fleet(props: { totals: Totals; streams: Stream[] }) {
  const t = props.totals;
  const flow = props.streams.reduce((sum, s) => sum + s.bytes_per_second, 0);
  return (
    <Panel title="Fleet" id="fleet" class="fleet-panel" note={<a href={href("endpoints")}>All endpoints</a>}>
      <dl class="fleet">
        <div class="fleet-online">
          <dt>Endpoints online</dt>
          <dd>{count(t.online)}<small>of {count(t.endpoints)}</small></dd>
          <Bar label="Endpoints online" all={t.endpoints} done={t.online} text={`${t.online} of ${t.endpoints}`} segments={[{ kind: "online", value: t.online }]} size="thin" />
        </div>
        <div><dt><icon.Down />Streaming out</dt><dd>{count(t.streams)}<small>{flow > 0 ? rate(flow) : "quiet"}</small></dd></div>
        <div><dt><icon.Up />Centralizing</dt><dd>{count(t.uploads)}<small>{inflow()}</small></dd></div>
      </dl>
      <div class="fleet-flow">
        <small>Streaming, last two minutes</small>
        <Spark values={together(props.streams)} label={`Streaming rate of all endpoints over the last two minutes, now ${rate(flow)}`} />
      </div>
    </Panel>
  );
}

// together adds up the rates of all streams, moment by moment, the latest last.
function together(streams: Stream[]): number[] {
  const all = streams.filter((s) => !isOver(s.phase)).map((s) => s.rate_history ?? []);
  const length = Math.max(0, ...all.map((h) => h.length));
  return Array.from({ length }, (_, i) => all.reduce((sum, h) => sum + (h[i - length + h.length] ?? 0), 0));
}

function inflow(): string {
  const flow = [...live.uploads.items.value.values()].reduce((sum, u) => sum + u.bytes_per_second, 0);
  return flow > 0 ? rate(flow) : "quiet";
}

const firstCards = 12;

function Streams(props: { streams: Stream[]; totals: Totals }) {
  const [all, setAll] = useState(false);
  const shown = all ? props.streams : props.streams.slice(0, firstCards);
  return (
    <section class="streams" aria-labelledby="streams">
      <header class="section-head"><h2 id="streams">Live streams</h2><span class="faint">{count(props.totals.streams)} under way</span></header>
      {props.streams.length === 0
        ? <Empty title="No desktop is streaming" command="looming stream --cvd NAME TARGET">Run this on an endpoint: the desktop appears in TARGET at once and fills in behind.</Empty>
        : <div class="cards">{shown.map((s) => <StreamCard key={s.id} stream={s} />)}</div>}
      {shown.length < props.streams.length && <button type="button" class="button more" onClick={() => setAll(true)}>Show all {props.streams.length}</button>}
    </section>
  );
}
