// A page's heading and the state of the link.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { now } from "./clock";
import { link, retryNow } from "./socket";

// Title is a page's heading with the link state beside it.
export function Title(props: { name: string; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${props.name} · Looming`;
  }, [props.name]);
  return (
    <header class="title">
      <div class="title-text"><h1>{props.name}</h1>{props.children}</div>
      <LinkState />
    </header>
  );
}

function LinkState() {
  const l = link.value;
  if (l.kind === "live") {
    return <div class="link live" role="status"><i aria-hidden="true" />Live</div>;
  }
  if (l.kind === "connecting") {
    return <div class="link waiting" role="status"><i aria-hidden="true" />Connecting</div>;
  }
  const left = Math.ceil((l.at - now.value) / 1000);
  return (
    <div class="link waiting">
      <i aria-hidden="true" /><span role="status">Reconnecting</span>
      {left > 1 && <button type="button" class="text-button" onClick={retryNow}>in {left} s · now</button>}
    </div>
  );
}
