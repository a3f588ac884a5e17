// A stream as a card: two bars, the rate, what is fetched now, and who had to wait for what.
import { serverTime } from "./clock";
import { deviceName } from "./desktops";
import type { Miss, Stream } from "./feed";
import { ago, bytes, count, duration, fraction, percent, plural, rate, short, waited } from "./format";
import * as icon from "./icons";
import { Bar, Chip, Path, Spark } from "./parts";
import { isOver, phaseNames, phaseTone } from "./phases";
import { href } from "./route";

const shownMisses = 4;

export function StreamCard(props: { stream: Stream }) {
  const s = props.stream;
  const id = `stream-${s.id}`;
  return (
    <article class={`card stream ${s.phase}`} aria-labelledby={id} data-stream={s.id} data-phase={s.phase}>
      <div class="card-body">
        <header class="card-head">
          <div class="card-name">
            <h3 id={id}><a href={href("desktops", s.cvd)}>{s.cvd}</a></h3>
            <p>to <b>{deviceName(s.device)}</b>, <span class="mono">{s.target}</span></p>
          </div>
          <Chip tone={phaseTone(s.phase)} pulse={moves(s)}>{phaseNames[s.phase]}</Chip>
        </header>
        {s.message && <p class={`card-message ${phaseTone(s.phase)}`} role="status"><icon.Warn /><span>{s.message}</span></p>}
        <div class="card-bars">
          <StartBar stream={s} />
          <WholeBar stream={s} />
        </div>
        <div class="card-pace">
          {isOver(s.phase) ? <Summary stream={s} /> : <><Pace stream={s} /><Misses stream={s} /></>}
        </div>
      </div>
    </article>
  );
}

function StartBar(props: { stream: Stream }) {
  const { start_done: done, start_total: all } = props.stream;
  const ready = all > 0 && done >= all;
  const text = all === 0 ? "being worked out" : ready ? `${bytes(all)}, complete` : `${bytes(done)} of ${bytes(all)}`;
  return (
    <div class="meter">
      <div class="meter-head">
        <span class="meter-name">Start set</span>
        <span class="meter-value">{text}</span>
        <b>{ready ? <span class="ready"><icon.Check />Usable</span> : percent(done, all)}</b>
      </div>
      <Bar label="Start set" segments={[{ kind: "start", value: done }]} all={all} done={done} text={text} size="thin" />
    </div>
  );
}

function WholeBar(props: { stream: Stream }) {
  const s = props.stream;
  const here = Math.max(0, s.bytes_done - s.demand_bytes - s.prefetch_bytes);
  const text = `${bytes(s.bytes_done)} of ${bytes(s.bytes_total)}`;
  return (
    <div class="meter">
      <div class="meter-head">
        <span class="meter-name">Whole desktop</span>
        <span class="meter-value">{text}</span>
        <b>{percent(s.bytes_done, s.bytes_total)}</b>
      </div>
      <Bar label="Whole desktop" all={s.bytes_total} done={s.bytes_done} text={text}
        segments={[{ kind: "demand", value: s.demand_bytes }, { kind: "prefetch", value: s.prefetch_bytes }, { kind: "here", value: here }]} />
      <ul class="legend">
        <li><i class="demand" />On demand <b>{bytes(s.demand_bytes)}</b></li>
        <li><i class="prefetch" />Prefetched <b>{bytes(s.prefetch_bytes)}</b></li>
        {here > 0 && <li><i class="here" />Already there <b>{bytes(here)}</b></li>}
      </ul>
    </div>
  );
}

function Pace(props: { stream: Stream }) {
  const s = props.stream;
  return (
    <>
      <div class="pace">
        <div class="pace-figure"><small>Rate</small><b>{moves(s) ? rate(s.bytes_per_second) : "–"}</b></div>
        <Spark values={s.rate_history ?? []} label={`Rate over the last minutes, now ${rate(s.bytes_per_second)}`} />
        <div class="pace-figure"><small>Time left</small><b>{s.eta_seconds === null ? "–" : duration(s.eta_seconds)}</b></div>
        <div class="pace-figure"><small>Files</small><b title={`of ${count(s.files_total)}`}>{count(s.files_done)}</b></div>
      </div>
      <p class="current">{s.current && moves(s) ? <Path path={s.current} /> : <span class="faint">{idle(s)}</span>}</p>
    </>
  );
}

// moves is whether bytes may flow now.
const moves = (s: Stream) => !isOver(s.phase) && s.phase !== "offline" && s.phase !== "waiting";

function idle(s: Stream): string {
  switch (s.phase) {
    case "offline":
      return `Last heard of ${ago(s.updated, serverTime.value)}.`;
    case "verifying":
      return "Comparing every file with the snapshot.";
    case "pivoting":
      return "Handing the directory over to the real disk.";
    default:
      return `Snapshot ${short(s.snapshot)}`;
  }
}

// Summary is what remains to be said when a stream is over.
function Summary(props: { stream: Stream }) {
  const s = props.stream;
  const waits = s.demand_count > 0 ? `${plural(s.demand_count, "read")} had to wait.` : "No read had to wait.";
  const took = s.started && s.updated ? ` after ${duration((Date.parse(s.updated) - Date.parse(s.started)) / 1000)}` : "";
  return (
    <p class="summary">
      {s.phase === "native"
        ? <><b>The disk is the desktop{took}.</b> {plural(s.files_total, "file")}. {waits}</>
        : <><b>Stopped{took}</b> at {count(s.files_done)} of {plural(s.files_total, "file")}. {waits}</>}
    </p>
  );
}

function Misses(props: { stream: Stream }) {
  const s = props.stream;
  const misses = s.misses ?? [];
  if (s.demand_count === 0 && misses.length === 0) return null;
  return (
    <details class="misses" open>
      <summary>
        <icon.Clock />{plural(s.demand_count, "read")} had to wait
        {misses.length > 1 && <span class="faint">median of the last {misses.length}: {waited(median(misses))}</span>}
      </summary>
      <ul>{misses.slice(0, shownMisses).map((m) => <MissRow key={`${m.at} ${m.path}`} miss={m} />)}</ul>
    </details>
  );
}

// The waiting time as a bar up to 300 ms, the most that the product allows itself for one in a hundred.
function MissRow(props: { miss: Miss }) {
  const m = props.miss;
  const tone = m.wait_ms <= 150 ? "good" : m.wait_ms <= 300 ? "warn" : "bad";
  return (
    <li>
      <Path path={m.path} />
      <span class="miss-bytes">{bytes(m.bytes)}</span>
      <span class={`miss-bar ${tone}`} aria-hidden="true"><i style={{ width: `${fraction(m.wait_ms, 300) * 100}%` }} /></span>
      <span class="miss-wait">{waited(m.wait_ms)}</span>
    </li>
  );
}

function median(misses: Miss[]): number {
  const w = misses.map((m) => m.wait_ms).sort((a, b) => a - b);
  return w[Math.floor(w.length / 2)] ?? 0;
}
