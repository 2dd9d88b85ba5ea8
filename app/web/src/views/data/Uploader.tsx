// Takes an archive of images, dropped or chosen; it is sent once its name and what to make of it are settled.

import { useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Dataset } from "../../api/types.ts";
import { bytes, duration } from "../../figures.ts";
import { notify } from "../../notices.tsx";
import { datasets } from "../../stores/datasets.ts";
import { dismiss, type Upload, upload, uploads } from "../../stores/uploads.ts";
import { Progress } from "../../ui/Progress.tsx";
import { nameFrom } from "./names.ts";
import { Crop, Size } from "./Options.tsx";

const TYPES = ".zip,.tar,.tgz,.gz,application/zip,application/x-tar,application/gzip";

/** `onTaken`: called with the data set once the service has it. */
export function Uploader({ onTaken }: { onTaken: (dataset: Dataset) => void }) {
  const file = useSignal<File | null>(null);
  const isHere = useRef(true);
  useEffect(
    () => () => {
      isHere.current = false;
    },
    [],
  );
  // Who looks at another view by now is told, and not taken away from it.
  const taken = (dataset: Dataset) => {
    if (isHere.current) onTaken(dataset);
    else notify(`${dataset.name} is here, and is being prepared.`);
  };
  return (
    <section class="uploader" aria-label="Upload images">
      {file.value ? (
        <Settle key={file.value.name} file={file.value} onTaken={taken} onDone={() => (file.value = null)} />
      ) : (
        <Drop onFile={(chosen) => (file.value = chosen)} />
      )}
      {uploads.value.map((each) => (
        <Sending key={each.options.name} upload={each} />
      ))}
    </section>
  );
}

function Drop({ onFile }: { onFile: (file: File) => void }) {
  const over = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  const take = (files: FileList | null | undefined) => {
    if (files?.[0]) onFile(files[0]);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: what can be dropped here can be chosen by the button as well.
    <div
      class="drop"
      data-over={over.value}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        take(event.dataTransfer?.files);
      }}
    >
      <p>
        <strong>Drop a zip, tar or tar.gz of images here</strong>
      </p>
      <p class="hint">Folders become classes, where every image lies in one. Nothing leaves this machine.</p>
      <button type="button" onClick={() => input.current?.click()}>
        Choose a file…
      </button>
      <input
        ref={input}
        class="unseen"
        type="file"
        accept={TYPES}
        aria-label="Archive of images"
        tabIndex={-1}
        onChange={(event) => take(event.currentTarget.files)}
      />
    </div>
  );
}

interface SettleProps {
  file: File;
  onTaken: (dataset: Dataset) => void;
  onDone: () => void;
}

function Settle({ file, onTaken, onDone }: SettleProps) {
  const name = useSignal(nameFrom(file.name));
  const size = useSignal("");
  const crop = useSignal("");
  const hint = useId();
  const told = useId();
  // A browser that is refused in the middle of gigabytes does not always hear why.
  const isTaken = datasets.value?.some((known) => known.name === name.value && known.state !== "failed") ?? false;

  function send(event: Event) {
    event.preventDefault();
    onDone();
    void upload(file, { name: name.value, size: size.value, crop: crop.value }).then((dataset) => {
      if (dataset) onTaken(dataset);
    });
  }

  return (
    <form class="settle sheet" onSubmit={send}>
      <h2>
        {file.name} <span class="hint">{bytes(file.size)}</span>
      </h2>
      <div class="fields">
        <label class="field">
          Name
          <input
            required
            pattern="[a-z0-9][a-z0-9._\-]{0,63}"
            title="small letters, digits, and . _ - between them; 64 at most"
            value={name.value}
            aria-invalid={isTaken}
            aria-describedby={told}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        </label>
        <Size value={size.value} onChange={(value) => (size.value = value)} first="as proposed" />
        <Crop value={crop.value} onChange={(value) => (crop.value = value)} first="as proposed" />
      </div>
      <p class="error" id={told} role="status">
        {isTaken && `There is a data set "${name.value}" already: choose another name, or delete that one first.`}
      </p>
      <p class="hint" id={hint}>
        Where you leave size and crop open, they follow from the images. The set itself never changes afterwards;
        another one can be made of the same images.
      </p>
      <div class="row">
        <button type="submit" class="primary" aria-describedby={hint} disabled={isTaken}>
          Upload
        </button>
        <button type="button" onClick={onDone}>
          Another file
        </button>
      </div>
    </form>
  );
}

function Sending({ upload }: { upload: Upload }) {
  const { options, file, sent, total, rate, error, cancel } = upload;
  if (error !== null) {
    return (
      <div class="sending sheet" role="alert">
        <p class="error">
          {file} was refused: {error}
        </p>
        <button type="button" onClick={() => dismiss(upload)}>
          Dismiss
        </button>
      </div>
    );
  }
  const whole = sent >= total;
  return (
    <div class="sending sheet">
      <h3>{options.name}</h3>
      <Progress label={`Upload of ${file}`} fraction={whole ? null : sent / total}>
        {whole ? "It is being checked…" : `${bytes(sent)} of ${bytes(total)}${left(total - sent, rate)}`}
      </Progress>
      <button type="button" onClick={cancel}>
        Cancel
      </button>
    </div>
  );
}

function left(bytesLeft: number, rate: number | null): string {
  return rate ? ` · ${bytes(rate)}/s · ${duration(bytesLeft / rate)} left` : "";
}
