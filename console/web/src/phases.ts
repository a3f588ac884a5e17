// What the phases are called, and how they look.
import type { Phase } from "./feed";
import type { Tone } from "./parts";

export const phaseNames: Record<Phase, string> = {
  listing: "Listing", start: "Start set", filling: "Filling", verifying: "Verifying", waiting: "Waiting", pivoting: "Pivoting",
  native: "Native", scanning: "Scanning", uploading: "Uploading", committing: "Committing", committed: "Committed",
  offline: "Offline", stopped: "Stopped", failed: "Failed",
};

export function phaseTone(p: Phase): Tone {
  switch (p) {
    case "native":
    case "committed":
      return "good";
    case "failed":
      return "bad";
    case "offline":
    case "stopped":
    case "waiting":
      return "warn";
    default:
      return "accent";
  }
}

export const isOver = (p: Phase) => p === "native" || p === "committed" || p === "stopped" || p === "failed";
