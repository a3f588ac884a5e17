// Small pieces that several pages share.
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { fraction } from "./format";
import * as icon from "./icons";

export type Tone = "quiet" | "accent" | "good" | "warn" | "bad";

export function Chip(props: { tone: Tone; pulse?: boolean; children: ComponentChildren }) {
  return <span class={`chip ${props.tone} ${props.pulse ? "pulse" : ""}`}><i aria-hidden="true" />{props.children}</span>;
}

export interface Segment {
  kind: string; // a class of bar segments: start, demand, prefetch, here, stored ...
  value: number;
}

// Bar is a progress bar of one or more segments out of all.
export function Bar(props: { label: string; segments: Segment[]; all: number; done: number; text: string; size?: "thin" }) {
  const percent = Math.floor(fraction(props.done, props.all) * 100);
  return (
    <div class={`bar ${props.size ?? ""}`} role="progressbar" aria-label={props.label} aria-valuemin={0} aria-valuemax={100}
      aria-valuenow={percent} aria-valuetext={props.text}>
      {props.segments.map((s) => (
        <span key={s.kind} class={`segment ${s.kind}`} style={{ width: `${fraction(s.value, props.all) * 100}%` }} />
      ))}
    </div>
  );
}

// Spark draws rates over time as a small area. It scales to its own peak.
export function Spark(props: { values: number[]; label: string }) {
  const w = 120;
  const h = 32;
  const peak = Math.max(1, ...props.values);
  const n = Math.max(2, props.values.length);
  const points = props.values.map((v, i) => `${((i / (n - 1)) * w).toFixed(1)} ${(h - 2 - (v / peak) * (h - 6)).toFixed(1)}`);
  const line = points.length > 1 ? `M${points.join("L")}` : `M0 ${h - 2}H${w}`;
  return (
    <svg class="spark" viewBox={`0 0 ${w} ${h}`} preserveAspectRatio="none" role="img" aria-label={props.label}>
      <path class="area" d={`${line}L${w} ${h}L0 ${h}Z`} />
      <path class="line" d={line} />
    </svg>
  );
}

// Path keeps the file name in sight and shortens the directories.
export function Path(props: { path: string }) {
  const cut = props.path.lastIndexOf("/") + 1;
  return (
    <span class="path" title={props.path}>
      <span class="dir">{props.path.slice(0, cut)}</span>
      <span class="base">{props.path.slice(cut)}</span>
    </span>
  );
}

// Command is a line to type somewhere else, with a button that copies it.
export function Command(props: { line: string }) {
  const [copied, setCopied] = useState(false);
  const code = useRef<HTMLElement>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(props.line);
      setCopied(true);
      setTimeout(() => setCopied(false), 2000);
    } catch {
      // No clipboard here: select the text, so that the keyboard can copy it.
      if (code.current) getSelection()?.selectAllChildren(code.current);
    }
  };
  return (
    <div class="command">
      <code ref={code}>{props.line}</code>
      <button type="button" class="icon-button" onClick={copy} aria-label={copied ? "Copied" : `Copy: ${props.line}`}>
        {copied ? <icon.Check class="good" /> : <icon.Copy />}
      </button>
    </div>
  );
}

// Empty says that there is nothing, and what to do next.
export function Empty(props: { title: string; children?: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <icon.Logo class="empty-mark" />
      <h3>{props.title}</h3>
      {props.children && <p>{props.children}</p>}
      {props.command && <Command line={props.command} />}
    </div>
  );
}

export function Notice(props: { tone: "warn" | "bad"; children: ComponentChildren; onClose?: () => void }) {
  return (
    <div class={`notice ${props.tone}`} role="status">
      <icon.Warn />
      <span>{props.children}</span>
      {props.onClose && <button type="button" class="icon-button" aria-label="Dismiss" onClick={props.onClose}><icon.Close /></button>}
    </div>
  );
}

export function Panel(props: { title: string; id: string; note?: ComponentChildren; children: ComponentChildren; class?: string }) {
  return (
    <section class={`panel ${props.class ?? ""}`} aria-labelledby={props.id}>
      <header class="panel-head">
        <h2 id={props.id}>{props.title}</h2>
        {props.note && <div class="panel-note">{props.note}</div>}
      </header>
      {props.children}
    </section>
  );
}
