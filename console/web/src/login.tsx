// The way in.
import { useEffect, useRef, useState } from "preact/hooks";
import { Logo } from "./icons";
import { signIn } from "./session";

export function Login(props: { note?: string }) {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const user = useRef<HTMLInputElement>(null);
  const password = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Sign in · Looming";
    user.current?.focus();
  }, []);

  const submit = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setError("");
    try {
      await signIn(user.current!.value.trim(), password.current!.value);
    } catch (err) {
      setError((err as Error).message);
      setBusy(false);
      password.current?.select();
    }
  };

  return (
    <div class="login">
      <Mirage />
      <main class="login-card">
        <div class="login-brand"><Logo class="brand-mark" /><span>Looming</span></div>
        <h1>Sign in</h1>
        <p class="login-lead">{props.note ?? "Desktops that are there before their files have arrived."}</p>
        <form onSubmit={submit}>
          <label class="field"><span>User name</span>
            <input ref={user} name="user" autocomplete="username" autocapitalize="none" spellcheck={false} required maxLength={200}
              aria-invalid={error ? true : undefined} aria-describedby={error ? "login-error" : undefined} />
          </label>
          <label class="field"><span>Password</span>
            <input ref={password} name="password" type="password" autocomplete="current-password" required maxLength={1024}
              aria-invalid={error ? true : undefined} aria-describedby={error ? "login-error" : undefined} />
          </label>
          <div id="login-error" class="form-error" role="alert">{error}</div>
          <button type="submit" class="button primary wide" disabled={busy}>{busy ? "Signing in …" : "Sign in"}</button>
        </form>
      </main>
    </div>
  );
}

// Mirage is the picture behind: a screen above the horizon and what the air makes of it.
function Mirage() {
  const stripes = [0, 1, 2, 3, 4, 5, 6];
  return (
    <svg class="mirage" viewBox="0 0 1440 900" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      <circle class="sun" cx="720" cy="560" r="330" />
      <circle class="sun inner" cx="720" cy="560" r="230" />
      <rect class="sea" x="0" y="640" width="1440" height="260" />
      {stripes.map((i) => (
        <rect key={i} class="ripple" x={250 + i * 62} y={672 + i * 32} width={940 - i * 124} height={7 - i * 0.6} rx="3.5" opacity={0.5 - i * 0.06} />
      ))}
    </svg>
  );
}
