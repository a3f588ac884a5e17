// The desktops: what is kept of each, and what it costs.
import { listDesktops } from "./api";
import { serverTime } from "./clock";
import type { Desktop } from "./feed";
import { ago, bytes, count, moment, percent, plural } from "./format";
import { Bar, Empty } from "./parts";
import { href } from "./route";
import { live, totals } from "./store";
import { Table, type Column } from "./table";
import { Title } from "./title";

// deviceName is what admins call a device, as far as the live model knows it.
export function deviceName(id: string): string {
  const e = live.endpoints.items.value.get(id);
  return e?.name || e?.hostname || id || "–";
}

const columns: Column<Desktop>[] = [
  { name: "Desktop", sort: "name", cell: (d) => <a class="strong" href={href("desktops", d.name)}>{d.name}</a> },
  { name: "Endpoint", sort: "owner", cell: (d) => <span class="clip" title={d.owner}>{deviceName(d.owner)}</span> },
  { name: "Snapshots", sort: "snapshots", number: true, first: "desc", cell: (d) => count(d.snapshots) },
  { name: "Last snapshot", sort: "last_snapshot", first: "desc", cell: (d) => <span title={moment(d.last_snapshot)}>{ago(d.last_snapshot, serverTime.value)}</span> },
  { name: "Size", sort: "logical_bytes", number: true, first: "desc", cell: (d) => bytes(d.logical_bytes) },
  { name: "Stored", sort: "stored_bytes", number: true, first: "desc", cell: (d) => bytes(d.stored_bytes) },
  { name: "Only here", sort: "unique_bytes", number: true, first: "desc", cell: (d) => bytes(d.unique_bytes) },
  { name: "Saved", sort: "saved_share", number: true, first: "desc", cell: (d) => <Saved desktop={d} /> },
];

export function DesktopsPage() {
  const t = totals.value;
  return (
    <>
      <Title name="Desktops">
        {t && <p class="lead">{plural(t.desktops, "desktop")} in {plural(t.snapshots, "snapshot")}</p>}
      </Title>
      <Table label="Desktops" columns={columns} order="name" row={(d) => d.name} load={listDesktops}
        revision={live.desktops.revision.value} search="Search desktops" empty={<NoDesktops />} />
    </>
  );
}

export function NoDesktops() {
  return (
    <Empty title="No desktop is kept yet" command="looming snapshot --root / --cvd NAME">
      Run this on an approved endpoint. Its whole file system comes here as the first snapshot.
    </Empty>
  );
}

function Saved(props: { desktop: Desktop }) {
  const share = props.desktop.saved_share;
  const text = percent(share, 1);
  return (
    <span class="saved" title={`${bytes(props.desktop.saved_bytes)} saved`}>
      <span class="saved-meter"><Bar label="Saved" segments={[{ kind: "saved-part", value: share }]} all={1} done={share} text={text} size="thin" /></span>
      {text}
    </span>
  );
}
