// Findings of the image report: counts by kind, and the list by file.

import { useSignal } from "@preact/signals";
import { listAll } from "../../api/client.ts";
import type { Finding } from "../../api/types.ts";
import { humanize, plural } from "../../format.ts";
import { attempt } from "../../notices.tsx";
import { Scroll } from "../../ui/parts.tsx";

interface Props {
  name: string;
  counts: Record<string, number>;
  /** The first page of findings. */
  first: Finding[];
}

export function Findings({ name, counts, first }: Props) {
  const found = useSignal(first);
  const kind = useSignal<string | null>(null);
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const shown = found.value.filter((finding) => kind.value === null || finding.kind === kind.value);
  if (!total) {
    return (
      <section class="findings">
        <h2>Findings</h2>
        <p>None: every file is an image that can be used as it is.</p>
      </section>
    );
  }
  return (
    <section class="findings">
      <h2>Findings</h2>
      <fieldset class="row kinds">
        <legend class="visually-hidden">Show findings of one kind</legend>
        <KindButton name="all" count={total} pressed={kind.value === null} onClick={() => (kind.value = null)} />
        {Object.entries(counts).map(([each, count]) => (
          <KindButton
            key={each}
            name={each}
            count={count}
            pressed={kind.value === each}
            onClick={() => (kind.value = each)}
          />
        ))}
      </fieldset>
      <Scroll label="Findings by file">
        <table>
          <thead>
            <tr>
              <th scope="col">File</th>
              <th scope="col">Kind</th>
              <th scope="col">What was found</th>
              <th scope="col">In the set</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((finding) => (
              <tr key={`${finding.file} ${finding.kind}`}>
                <th scope="row">{finding.file ?? "the whole set"}</th>
                <td>{humanize(finding.kind)}</td>
                <td>{messageWithoutFile(finding)}</td>
                <td>{finding.used ? "yes" : "left out"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {found.value.length < total && (
        <p class="hint">
          The first {found.value.length.toLocaleString("en")} of {plural(total, "finding")}.{" "}
          <button
            type="button"
            class="small"
            onClick={() =>
              attempt(async () => {
                found.value = await listAll("GET /datasets/{name}/findings", { path: { name } });
              })
            }
          >
            Show all
          </button>
        </p>
      )}
    </section>
  );
}

function KindButton({
  name,
  count,
  pressed,
  onClick,
}: {
  name: string;
  count: number;
  pressed: boolean;
  onClick: () => void;
}) {
  return (
    <button type="button" class="small" aria-pressed={pressed} onClick={onClick}>
      {humanize(name)} <span class="hint">{count.toLocaleString("en")}</span>
    </button>
  );
}

// The file has its own column.
function messageWithoutFile({ file, message }: Finding): string {
  return file !== null && message.startsWith(`"${file}" `) ? message.slice(file.length + 3) : message;
}
