// Asks before something that cannot be undone.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { words } from "../api/client.ts";
import { Dialog } from "./Dialog.tsx";

interface Props {
  title: string;
  /** On the button that does it. */
  action: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
  children: ComponentChildren;
}

export function Confirm({ title, action, onConfirm, onClose, children }: Props) {
  const busy = useSignal(false);
  const error = useSignal("");

  async function confirm() {
    busy.value = true;
    try {
      await onConfirm();
      onClose();
    } catch (refused) {
      error.value = words(refused);
      busy.value = false;
    }
  }

  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      {error.value && (
        <p class="error" role="alert">
          {error.value}
        </p>
      )}
      <div class="row end">
        <button type="button" onClick={onClose}>
          Keep it
        </button>
        <button type="button" class="danger" disabled={busy.value} onClick={confirm}>
          {action}
        </button>
      </div>
    </Dialog>
  );
}
