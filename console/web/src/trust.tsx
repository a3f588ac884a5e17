// Approving and revoking a device, with the question before.
import { signal } from "@preact/signals";
import { approve, revoke } from "./api";
import { Confirm } from "./dialog";
import type { Endpoint } from "./feed";

interface Question {
  endpoint: Endpoint;
  verb: "approve" | "revoke";
}

const asking = signal<Question | null>(null);
export const decided = signal(0); // counts decisions, so that tables ask again

export function TrustButton(props: { endpoint: Endpoint; verb: "approve" | "revoke" }) {
  const { endpoint: e, verb } = props;
  const name = e.name || e.hostname || e.id;
  return (
    <button type="button" class={`button small ${verb === "approve" ? "primary" : "quiet-danger"}`}
      aria-label={`${verb === "approve" ? "Approve" : "Revoke"} ${name}`} onClick={() => { asking.value = { endpoint: e, verb }; }}>
      {verb === "approve" ? "Approve" : "Revoke"}
    </button>
  );
}

// TrustDialog stands once on a page that has TrustButtons.
export function TrustDialog() {
  const q = asking.value;
  if (!q) return null;
  const e = q.endpoint;
  const name = e.name || e.hostname || e.id;
  const close = (done: boolean) => {
    asking.value = null;
    if (done) decided.value++;
  };
  const facts = (
    <dl class="facts">
      <dt>Key</dt><dd class="mono">{e.key || "unknown"}</dd>
      <dt>Host name</dt><dd>{e.hostname || "unknown"}</dd>
      <dt>Address</dt><dd class="mono">{e.address || "unknown"}</dd>
      <dt>System</dt><dd>{e.os || "unknown"}</dd>
    </dl>
  );
  return q.verb === "approve" ? (
    <Confirm key="approve" title={`Approve ${name}?`} verb="Approve" act={() => approve(e.id)} onClose={close}>
      <p>It gets a certificate, and may then store and stream its own desktops. Compare the fingerprint of its key with what <code>looming enroll</code> shows on the machine.</p>
      {facts}
    </Confirm>
  ) : (
    <Confirm key="revoke" title={`Revoke ${name}?`} verb="Revoke" danger act={() => revoke(e.id)} onClose={close}>
      <p>It is refused from now on: running streams and uploads stop, and only a new enrolment lets it in again. Its desktops and snapshots stay.</p>
      {facts}
    </Confirm>
  );
}
