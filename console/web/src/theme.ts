// Loaded before the first paint: puts the chosen theme on the document, so that nothing flashes.
import { applyTheme } from "./appearance";

applyTheme();
