// A question before something that matters. The browser's own dialog keeps the focus inside and gives it back.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ended } from "./session";

interface Props {
  title: string;
  children: ComponentChildren;
  verb: string;
  danger?: boolean;
  act: () => Promise<unknown>;
  onClose: (done: boolean) => void;
}

export function Confirm(props: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const done = useRef(false);
  const close = () => dialog.current?.close(); // the browser then gives the focus back, and tells onClose
  useEffect(() => dialog.current?.showModal(), []);

  const act = async () => {
    setBusy(true);
    setError("");
    try {
      await props.act();
      done.current = true;
      close();
    } catch (e) {
      if (!ended(e)) {
        setError((e as Error).message);
        setBusy(false);
      }
    }
  };

  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={() => props.onClose(done.current)}
      onClick={(e) => e.target === dialog.current && close()}>
      <div class="dialog-body">
        <h2 id="dialog-title">{props.title}</h2>
        {props.children}
        <div class="form-error" role="alert">{error}</div>
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={close}>Cancel</button>
          <button type="button" class={`button ${props.danger ? "danger" : "primary"}`} disabled={busy} onClick={act}>{props.verb}</button>
        </div>
      </div>
    </dialog>
  );
}
