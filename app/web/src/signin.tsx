// Trades a key for a session, where the service wants keys.

import { useSignal } from "@preact/signals";
import { words } from "./api/client.ts";
import { signIn } from "./session.ts";

export function SignIn() {
  const error = useSignal("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const key = new FormData(event.currentTarget as HTMLFormElement).get("key");
    try {
      await signIn(String(key));
    } catch (refused) {
      error.value = words(refused);
    }
  };
  return (
    <form class="sign-in sheet" onSubmit={submit}>
      <h1>A key, please</h1>
      <p>
        This service is reached from elsewhere and asks for a key. <code>atelier keys add NAME</code> makes one.
      </p>
      <input name="username" value="atelier" autocomplete="username" hidden readOnly />
      <label class="field">
        Key
        <input
          name="key"
          type="password"
          required
          autocomplete="current-password"
          aria-invalid={error.value !== ""}
          aria-describedby="sign-in-error"
        />
      </label>
      <p id="sign-in-error" class="error" role="alert">
        {error.value}
      </p>
      <button type="submit" class="primary">
        Sign in
      </button>
    </form>
  );
}
