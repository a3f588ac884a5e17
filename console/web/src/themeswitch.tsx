// Three choices as one group of radio buttons.
import { useState } from "preact/hooks";
import { chooseTheme, chosenTheme, type Theme } from "./appearance";
import * as icon from "./icons";

const choices: { theme: Theme; name: string; Icon: (p: { class?: string }) => preact.JSX.Element }[] = [
  { theme: "light", name: "Light", Icon: icon.Sun },
  { theme: "system", name: "As the system", Icon: icon.Auto },
  { theme: "dark", name: "Dark", Icon: icon.Moon },
];

export function ThemeSwitch() {
  const [chosen, setChosen] = useState(chosenTheme());
  return (
    <div class="segmented" role="radiogroup" aria-label="Theme">
      {choices.map(({ theme, name, Icon }) => (
        <label key={theme} title={name}>
          <input type="radio" name="theme" aria-label={name} checked={chosen === theme}
            onChange={() => { setChosen(theme); chooseTheme(theme); }} />
          <Icon />
        </label>
      ))}
    </div>
  );
}
