// Snapshots being made.
import { deviceName } from "./desktops";
import type { Upload } from "./feed";
import { bytes, fraction, plural, rate } from "./format";
import * as icon from "./icons";
import { Chip, Path } from "./parts";
import { isOver, phaseNames, phaseTone } from "./phases";
import { href } from "./route";

export function UploadRow(props: { upload: Upload }) {
  const u = props.upload;
  const kept = 1 - fraction(u.bytes_sent, u.bytes_read);
  return (
    <article class="upload" data-upload={u.id} aria-label={`${u.cvd} from ${deviceName(u.device)}`}>
      <div class="upload-name">
        <a class="strong" href={href("desktops", u.cvd)}>{u.cvd}</a>
        <small>from {deviceName(u.device)}</small>
      </div>
      <Chip tone={phaseTone(u.phase)} pulse={!isOver(u.phase)}>{phaseNames[u.phase]}</Chip>
      <dl class="upload-figures">
        <div><dt>Read</dt><dd>{bytes(u.bytes_read)}</dd></div>
        <div><dt>Sent</dt><dd>{bytes(u.bytes_sent)}</dd></div>
        <div><dt>Not sent</dt><dd>{u.bytes_read > 0 ? `${Math.floor(kept * 100)} %` : "–"}</dd></div>
        <div><dt>Rate</dt><dd>{u.bytes_per_second > 0 ? rate(u.bytes_per_second) : "–"}</dd></div>
      </dl>
      <p class="current">
        {u.message ? <span class="upload-message"><icon.Warn />{u.message}</span>
          : u.current ? <Path path={u.current} /> : <span class="faint">{plural(u.files_done, "file")}</span>}
      </p>
    </article>
  );
}
