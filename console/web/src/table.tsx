// A table whose rows come page by page from the server; search, order and place are in the address.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Ask } from "./api";
import type { Page } from "./feed";
import { count } from "./format";
import * as icon from "./icons";
import { Notice } from "./parts";
import { route, setParams } from "./route";
import { ended } from "./session";

export interface Column<T> {
  name: string;
  sort?: string; // the server's column
  number?: boolean;
  kind?: string; // a class, for how it stands on a phone
  first?: "desc"; // which way the first click sorts
  cell: (row: T) => ComponentChildren;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  order: string; // the sort without a choice
  row: (row: T) => string; // its key
  load: (ask: Ask, signal: AbortSignal) => Promise<Page<T>>;
  revision?: number; // when it changes, the page is asked for again
  search?: string; // placeholder; none: no search
  filters?: ComponentChildren;
  empty: ComponentChildren; // nothing at all
  limit?: number;
}

const reloadPause = 1000;

export function Table<T>(props: Props<T>) {
  const { page, error, loading, reload } = usePage(props);
  const params = route.value.params;
  const searching = (params.get("q") ?? "") !== "" || (params.get("state") ?? "") !== "";
  return (
    <div class="table-block">
      {(props.search || props.filters) && (
        <div class="table-tools">
          {props.search && <SearchBox placeholder={props.search} />}
          {props.filters}
        </div>
      )}
      {error && <Notice tone="bad">{error} <button type="button" class="text-button" onClick={reload}>Try again</button></Notice>}
      {page && page.total === 0 && !searching ? props.empty : (
        <div class="table-scroll" aria-busy={loading}>
          <table aria-label={props.label}>
            <thead><tr>{props.columns.map((c) => <Head key={c.name} column={c} order={params.get("sort") ?? props.order} />)}</tr></thead>
            <tbody>
              {page?.items.map((r) => (
                <tr key={props.row(r)}>
                  {props.columns.map((c) => <td key={c.name} data-label={c.name} class={c.kind ?? (c.number ? "number" : undefined)}>{c.cell(r)}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
          {page && page.items.length === 0 && <p class="table-none">{page.total > 0 ? "There is no such page." : "Nothing matches."} <button type="button" class="text-button" onClick={() => setParams({ q: "", state: "", offset: "" })}>Show all</button></p>}
          {!page && !error && <Skeleton />}
        </div>
      )}
      {page && page.total > 0 && <Pager page={page} />}
    </div>
  );
}

// usePage asks for the page that the address names, again when the live model says that it changed.
function usePage<T>(props: Props<T>) {
  const [page, setPage] = useState<Page<T> | null>(null);
  const [error, setError] = useState("");
  const [loading, setLoading] = useState(false);
  const [again, setAgain] = useState(0);
  const asked = useRef({ at: 0, revision: props.revision });
  const search = route.value.params.toString();

  useEffect(() => {
    const abort = new AbortController();
    const ask = askOf(props, new URLSearchParams(search));
    asked.current = { at: Date.now(), revision: props.revision };
    setLoading(true);
    props.load(ask, abort.signal).then(
      (p) => { setPage(p); setError(""); setLoading(false); },
      (e: Error) => {
        if (!abort.signal.aborted && !ended(e)) { setError(e.message); setLoading(false); }
      },
    );
    return () => abort.abort();
  }, [search, again]);

  useEffect(() => {
    // Never while an answer is under way: on a slow server each question would cut off the one before.
    if (loading || asked.current.revision === props.revision) return;
    const timer = setTimeout(() => setAgain((n) => n + 1), Math.max(0, asked.current.at + reloadPause - Date.now()));
    return () => clearTimeout(timer);
  }, [props.revision, loading]);

  return { page, error, loading, reload: () => setAgain((n) => n + 1) };
}

function askOf<T>(props: Props<T>, p: URLSearchParams): Ask {
  return {
    q: p.get("q") ?? "", state: p.get("state") ?? "", sort: p.get("sort") ?? props.order,
    offset: Number(p.get("offset")) || 0, limit: props.limit ?? 25,
  };
}

function Head<T>(props: { column: Column<T>; order: string }) {
  const c = props.column;
  const cls = c.number ? "number" : undefined;
  if (!c.sort) {
    return <th scope="col" class={cls}>{c.name}</th>;
  }
  const desc = props.order === `-${c.sort}`;
  const active = desc || props.order === c.sort;
  const next = active ? (desc ? c.sort : `-${c.sort}`) : c.first === "desc" ? `-${c.sort}` : c.sort;
  return (
    <th scope="col" class={cls} aria-sort={active ? (desc ? "descending" : "ascending") : "none"}>
      <button type="button" class={active ? "sort active" : "sort"} onClick={() => setParams({ sort: next, offset: "" })}>
        {c.name}{desc ? <icon.Down /> : <icon.Up />}
      </button>
    </th>
  );
}

function SearchBox(props: { placeholder: string }) {
  const q = route.value.params.get("q") ?? "";
  const [text, setText] = useState(q);
  useEffect(() => setText(q), [q]);
  useEffect(() => {
    if (text.trim() === q) return;
    const timer = setTimeout(() => setParams({ q: text.trim(), offset: "" }), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <label class="search">
      <icon.Search />
      <input type="search" aria-label={props.placeholder} placeholder={props.placeholder} value={text} maxLength={200}
        onInput={(e) => setText(e.currentTarget.value)} />
    </label>
  );
}

function Pager<T>(props: { page: Page<T> }) {
  const { offset, limit, total, items } = props.page;
  const go = (to: number) => setParams({ offset: to > 0 ? String(to) : "" });
  return (
    <div class="pager">
      <span role="status">{items.length > 0 ? `${count(offset + 1)} – ${count(offset + items.length)} of ${count(total)}` : `of ${count(total)}`}</span>
      {total > limit && (
        <span class="pager-buttons">
          <button type="button" class="button small" disabled={offset === 0} onClick={() => go(Math.max(0, offset - limit))}><icon.Left />Previous</button>
          <button type="button" class="button small" disabled={offset + limit >= total} onClick={() => go(offset + limit)}>Next<icon.Right /></button>
        </span>
      )}
    </div>
  );
}

function Skeleton() {
  return <div class="skeleton" role="status" aria-label="Loading"><i /><i /><i /><i /><i /></div>;
}
