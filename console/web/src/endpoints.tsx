// The endpoints: who they are, what they do, whether they are trusted.
import { listEndpoints } from "./api";
import { serverTime } from "./clock";
import type { Endpoint } from "./feed";
import { ago, moment } from "./format";
import { Chip, Empty } from "./parts";
import { route, setParams } from "./route";
import { live, totals } from "./store";
import { Table, type Column } from "./table";
import { Title } from "./title";
import { decided, TrustButton, TrustDialog } from "./trust";

const columns: Column<Endpoint>[] = [
  { name: "Endpoint", sort: "name", cell: (e) => <Who endpoint={e} /> },
  { name: "State", sort: "state", kind: "corner", cell: (e) => <StateChip endpoint={e} /> },
  { name: "System", sort: "os", cell: (e) => e.os || "–" },
  { name: "Address", cell: (e) => <span class="mono">{e.address || "–"}</span> },
  { name: "Activity", kind: "full", cell: (e) => e.activity || <span class="faint idle">idle</span> },
  { name: "Last seen", sort: "last_seen", first: "desc", cell: (e) => <Seen endpoint={e} /> },
  { name: "", kind: "acts", cell: (e) => <Act endpoint={e} /> },
];

export function EndpointsPage() {
  const t = totals.value;
  const known = live.endpoints.items.value;
  const fresh = columns.map((c) => ({ ...c, cell: (e: Endpoint) => c.cell(known.get(e.id) ?? e) }));
  return (
    <>
      <Title name="Endpoints">
        {t && <p class="lead">{t.online} of {t.endpoints} online{t.pending > 0 && `, ${t.pending} waiting for approval`}</p>}
      </Title>
      <Table label="Endpoints" columns={fresh} order="name" row={(e) => e.id} load={listEndpoints}
        revision={live.endpoints.revision.value + decided.value} search="Search endpoints" filters={<StateFilter />}
        empty={<NoEndpoints />} />
      <TrustDialog />
    </>
  );
}

export function NoEndpoints() {
  return (
    <Empty title="No endpoint has asked in yet" command={`looming enroll ${location.origin}`}>
      Run this on a machine, as root. It then waits here until you approve it.
    </Empty>
  );
}

function Who(props: { endpoint: Endpoint }) {
  const e = props.endpoint;
  const name = e.name || e.hostname || e.id;
  return (
    <span class="two-lines">
      <b>{name}</b>
      <small class="mono" title={e.id}>{e.hostname && e.hostname !== name ? e.hostname : e.id}</small>
    </span>
  );
}

function StateChip(props: { endpoint: Endpoint }) {
  const e = props.endpoint;
  switch (e.state) {
    case "pending":
      return <Chip tone="warn">Pending</Chip>;
    case "revoked":
      return <Chip tone="bad">Revoked</Chip>;
    default:
      return e.online ? <Chip tone="good">Online</Chip> : <Chip tone="quiet">Offline</Chip>;
  }
}

function Seen(props: { endpoint: Endpoint }) {
  const e = props.endpoint;
  return <span title={moment(e.last_seen)}>{e.online ? "now" : ago(e.last_seen, serverTime.value)}</span>;
}

function Act(props: { endpoint: Endpoint }) {
  const e = props.endpoint;
  if (e.state === "revoked") return null;
  return (
    <span class="row-actions">
      {e.state === "pending" && <TrustButton endpoint={e} verb="approve" />}
      <TrustButton endpoint={e} verb="revoke" />
    </span>
  );
}

const states = [
  { value: "", name: "All" },
  { value: "pending", name: "Pending" },
  { value: "approved", name: "Approved" },
  { value: "revoked", name: "Revoked" },
];

function StateFilter() {
  const chosen = route.value.params.get("state") ?? "";
  return (
    <div class="segmented text" role="radiogroup" aria-label="State">
      {states.map((s) => (
        <label key={s.value}>
          <input type="radio" name="state" checked={chosen === s.value} onChange={() => setParams({ state: s.value, offset: "" })} />
          <span>{s.name}</span>
        </label>
      ))}
    </div>
  );
}
