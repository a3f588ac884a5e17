// One desktop: its figures, its live streams and uploads, its snapshots.
import { useEffect, useState } from "preact/hooks";
import { listDesktops, listSnapshots } from "./api";
import { serverTime } from "./clock";
import { deviceName } from "./desktops";
import type { Desktop, Snapshot } from "./feed";
import { ago, bytes, count, moment, percent, short } from "./format";
import * as icon from "./icons";
import { Command, Empty, Panel } from "./parts";
import { href } from "./route";
import { live } from "./store";
import { StreamCard } from "./stream";
import { Table, type Column } from "./table";
import { Title } from "./title";
import { UploadRow } from "./uploads";

const columns: Column<Snapshot>[] = [
  { name: "Taken", sort: "at", first: "desc", cell: (s) => <span class="two-lines"><b>{moment(s.at)}</b><small>{ago(s.at, serverTime.value)}</small></span> },
  { name: "Snapshot", cell: (s) => <span class="mono" title={s.id}>{short(s.id)}</span> },
  { name: "Made by", sort: "device", cell: (s) => <span class="clip" title={s.device}>{deviceName(s.device)}</span> },
  { name: "Files", sort: "files", number: true, first: "desc", cell: (s) => count(s.files) },
  { name: "Size", sort: "logical_bytes", number: true, first: "desc", cell: (s) => bytes(s.logical_bytes) },
  { name: "Added", sort: "new_bytes", number: true, first: "desc", cell: (s) => bytes(s.new_bytes) },
];

export function DesktopPage(props: { name: string }) {
  const d = useDesktop(props.name);
  const streams = [...live.streams.items.value.values()].filter((s) => s.cvd === props.name);
  const uploads = [...live.uploads.items.value.values()].filter((u) => u.cvd === props.name);
  return (
    <>
      <a class="back" href={href("desktops")}><icon.Left />Desktops</a>
      <Title name={props.name}>
        {d && <p class="lead">kept for {deviceName(d.owner)}, last snapshot {ago(d.last_snapshot, serverTime.value)}</p>}
      </Title>
      {d && <Figures desktop={d} />}
      {uploads.length > 0 && <Panel title="Centralizing now" id="uploads">{uploads.map((u) => <UploadRow key={u.id} upload={u} />)}</Panel>}
      {streams.length > 0 && <div class="cards">{streams.map((s) => <StreamCard key={s.id} stream={s} />)}</div>}
      <Panel title="Snapshots" id="snapshots" class="flush">
        <Table label="Snapshots" columns={columns} order="-at" row={(s) => s.id} load={(a, signal) => listSnapshots(props.name, a, signal)}
          revision={live.desktops.revision.value} limit={15} empty={<Empty title="No snapshot yet" command={`looming snapshot --root / --cvd ${props.name}`} />} />
      </Panel>
      <Panel title="Bring it to a machine" id="bring">
        <div class="bring">
          <p>Streams the newest snapshot into a directory: usable at once, native at the end. Add <code>--snapshot ID</code> for an older one.</p>
          <Command line={`looming stream --cvd ${props.name} TARGET`} />
        </div>
      </Panel>
    </>
  );
}

// useDesktop takes the desktop from the live model, or asks for it where the model does not carry it.
function useDesktop(name: string): Desktop | undefined {
  const [asked, setAsked] = useState<Desktop>();
  const known = live.desktops.items.value.get(name);
  useEffect(() => {
    if (known) return;
    const abort = new AbortController();
    listDesktops({ q: name, state: "", sort: "name", offset: 0, limit: 200 }, abort.signal)
      .then((p) => setAsked(p.items.find((d) => d.name === name)), () => {}); // the table below reports what is wrong
    return () => abort.abort();
  }, [name, !known]);
  return known ?? asked;
}

function Figures(props: { desktop: Desktop }) {
  const d = props.desktop;
  const figure = (name: string, value: string, note: string) => (
    <div class="figure"><dt>{name}</dt><dd>{value}</dd><small>{note}</small></div>
  );
  return (
    <dl class="figures">
      {figure("Size", bytes(d.logical_bytes), "newest snapshot, as files")}
      {figure("Snapshots", count(d.snapshots), "each restores whole")}
      {figure("Stored", bytes(d.stored_bytes), "all snapshots, shared parts counted")}
      {figure("Only here", bytes(d.unique_bytes), "what removing it would free")}
      {figure("Saved", percent(d.saved_share, 1), `${bytes(d.saved_bytes)} not stored`)}
    </dl>
  );
}
