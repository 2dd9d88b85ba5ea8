// Upload of an image archive, dropped or chosen: its name and options first, then the progress.

import { useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Dataset } from "../../api/types.ts";
import { bytes, duration } from "../../format.ts";
import { notify } from "../../notices.tsx";
import { datasets } from "../../stores/datasets.ts";
import { datasetNameOf, dismiss, type Upload, upload, uploads } from "../../stores/uploads.ts";
import { Progress } from "../../ui/parts.tsx";
import { CropField, SizeField } from "./parts.tsx";

const TYPES = ".zip,.tar,.tgz,.gz,application/zip,application/x-tar,application/gzip";

/** `onUploaded`: called with the data set once the service has accepted it. */
export function Uploader({ onUploaded }: { onUploaded: (dataset: Dataset) => void }) {
  const file = useSignal<File | null>(null);
  const isMounted = useRef(true);
  useEffect(
    () => () => {
      isMounted.current = false;
    },
    [],
  );
  // The user may have gone on to another view: then only a message is shown.
  const handleUploaded = (dataset: Dataset) => {
    if (isMounted.current) onUploaded(dataset);
    else notify(`${dataset.name} is uploaded and is being prepared.`);
  };
  return (
    <section class="uploader" aria-label="Upload images">
      {file.value ? (
        <UploadForm
          key={file.value.name}
          file={file.value}
          onUploaded={handleUploaded}
          onDone={() => (file.value = null)}
        />
      ) : (
        <DropArea onFile={(chosen) => (file.value = chosen)} />
      )}
      {uploads.value.map((each) => (
        <UploadProgress key={each.options.name} upload={each} />
      ))}
    </section>
  );
}

function DropArea({ onFile }: { onFile: (file: File) => void }) {
  const over = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  const choose = (files: FileList | null | undefined) => {
    if (files?.[0]) onFile(files[0]);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the button offers the same without dropping.
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
        choose(event.dataTransfer?.files);
      }}
    >
      <p>
        <strong>Drop a zip, tar or tar.gz of images here</strong>
      </p>
      <p class="hint">Folders become classes if every image is in one. Nothing leaves this machine.</p>
      <button type="button" onClick={() => input.current?.click()}>
        Choose a file…
      </button>
      <input
        ref={input}
        class="visually-hidden"
        type="file"
        accept={TYPES}
        aria-label="Archive of images"
        tabIndex={-1}
        onChange={(event) => choose(event.currentTarget.files)}
      />
    </div>
  );
}

interface UploadFormProps {
  file: File;
  onUploaded: (dataset: Dataset) => void;
  onDone: () => void;
}

function UploadForm({ file, onUploaded, onDone }: UploadFormProps) {
  const name = useSignal(datasetNameOf(file.name));
  const size = useSignal("");
  const crop = useSignal("");
  const hint = useId();
  const errorId = useId();
  // Browsers that are rejected in the middle of a large upload do not always receive the reason: check before.
  const nameExists = datasets.value?.some((known) => known.name === name.value && known.state !== "failed") ?? false;

  function send(event: Event) {
    event.preventDefault();
    onDone();
    void upload(file, { name: name.value, size: size.value, crop: crop.value }).then((dataset) => {
      if (dataset) onUploaded(dataset);
    });
  }

  return (
    <form class="form-stack card" onSubmit={send}>
      <h2>
        {file.name} <span class="hint">{bytes(file.size)}</span>
      </h2>
      <div class="fields">
        <label class="field">
          Name
          <input
            required
            pattern="[a-z0-9][a-z0-9._\-]{0,63}"
            title="up to 64 lower-case letters, digits, dots, dashes and underscores"
            value={name.value}
            aria-invalid={nameExists}
            aria-describedby={errorId}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        </label>
        <SizeField value={size.value} onChange={(value) => (size.value = value)} automatic="as proposed" />
        <CropField value={crop.value} onChange={(value) => (crop.value = value)} automatic="as proposed" />
      </div>
      <p class="error" id={errorId} role="status">
        {nameExists && `There is a data set "${name.value}" already: choose another name, or delete that one first.`}
      </p>
      <p class="hint" id={hint}>
        Without a size or crop, both are proposed from the images. A data set never changes afterwards, but another one
        can be prepared from the same images.
      </p>
      <div class="row">
        <button type="submit" class="primary" aria-describedby={hint} disabled={nameExists}>
          Upload
        </button>
        <button type="button" onClick={onDone}>
          Another file
        </button>
      </div>
    </form>
  );
}

function UploadProgress({ upload }: { upload: Upload }) {
  const { options, file, sent, total, rate, error, cancel } = upload;
  if (error !== null) {
    return (
      <div class="sending card" role="alert">
        <p class="error">
          {file} was refused: {error}
        </p>
        <button type="button" onClick={() => dismiss(upload)}>
          Dismiss
        </button>
      </div>
    );
  }
  const isSent = sent >= total;
  return (
    <div class="sending card">
      <h3>{options.name}</h3>
      <Progress label={`Upload of ${file}`} fraction={isSent ? null : sent / total}>
        {isSent ? "Checking the upload…" : `${bytes(sent)} of ${bytes(total)}${timeLeft(total - sent, rate)}`}
      </Progress>
      <button type="button" onClick={cancel}>
        Cancel
      </button>
    </div>
  );
}

function timeLeft(bytesLeft: number, rate: number | null): string {
  return rate ? ` · ${bytes(rate)}/s · ${duration(bytesLeft / rate)} left` : "";
}
