// The time, once a second, for everything that says "ago" or "in".
import { signal } from "@preact/signals";
import { serverNow } from "./store";

export const now = signal(Date.now());
export const serverTime = signal(serverNow());

setInterval(() => {
  now.value = Date.now();
  serverTime.value = serverNow();
}, 1000);
