// Sign-in form: exchanges an API key for a session.

import { useSignal } from "@preact/signals";
import { errorMessage } from "./api/client.ts";
import { signIn } from "./session.ts";

export function SignIn() {
  const error = useSignal("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const key = new FormData(event.currentTarget as HTMLFormElement).get("key");
    try {
      await signIn(String(key));
    } catch (failure) {
      error.value = errorMessage(failure);
    }
  };
  return (
    <form class="sign-in card" onSubmit={submit}>
      <h1>Sign in</h1>
      <p>
        This service needs an API key. <code>atelier keys add NAME</code> creates one.
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
