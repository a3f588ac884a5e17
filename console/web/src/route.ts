// Where the page is: #/endpoints?q=lab&offset=25. Reload, back and links work.
import { signal } from "@preact/signals";

export interface Route {
  path: string[]; // decoded segments; empty: overview
  params: URLSearchParams;
}

function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decode), params: new URLSearchParams(search) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export const route = signal(parse(location.hash));

addEventListener("hashchange", () => {
  const before = route.value.path.join("/");
  route.value = parse(location.hash);
  if (route.value.path.join("/") !== before) {
    scrollTo(0, 0);
  }
});

export function href(...path: string[]): string {
  return "#/" + path.map(encodeURIComponent).join("/");
}

// setParams changes the query of the present page in place; empty values are left out.
export function setParams(change: Record<string, string>) {
  const params = new URLSearchParams(route.value.params);
  for (const [k, v] of Object.entries(change)) {
    if (v === "") {
      params.delete(k);
    } else {
      params.set(k, v);
    }
  }
  const search = params.toString();
  history.replaceState(null, "", href(...route.value.path) + (search ? "?" + search : ""));
  route.value = { path: route.value.path, params };
}
