// Modal dialogs: a frame for any content, and the confirmation of an action that cannot be undone.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { errorMessage } from "../api/client.ts";
import { Notices } from "../notices.tsx";

interface DialogProps {
  title: string;
  class?: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** Open while it is rendered; Escape, the close button and a click on the backdrop call `onClose`. */
export function Dialog({ title, class: kind = "", onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    const opener = document.activeElement;
    element?.showModal();
    return () => {
      element?.close();
      // Browsers do not restore the focus when the dialog's element is removed.
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a modal dialog handles Escape, the key for this, by itself.
    <dialog
      ref={dialog}
      class={kind}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      <div class="dialog-inside">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <button type="button" class="plain" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </header>
        {children}
      </div>
      {/* Nothing outside of a modal dialog can be clicked, so an Undo has to be inside. */}
      <Notices />
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  /** Label of the button that performs the action. */
  action: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
  children: ComponentChildren;
}

export function Confirm({ title, action, onConfirm, onClose, children }: ConfirmProps) {
  const busy = useSignal(false);
  const error = useSignal("");

  async function confirm() {
    busy.value = true;
    try {
      await onConfirm();
      onClose();
    } catch (failure) {
      error.value = errorMessage(failure);
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
      <div class="row align-end">
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
