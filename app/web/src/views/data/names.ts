// Names as the service takes them, made of what people call their files.

const ENDING = /\.(zip|tar|tgz|tar\.gz)$/i;

/** Make a data set's name of a file's: "My Pets.zip" becomes "my-pets". */
export function nameFrom(file: string): string {
  const plain = file.replace(ENDING, "").normalize("NFKD").toLowerCase();
  return (
    plain
      .replace(/[^a-z0-9._]+/g, "-")
      .replace(/^[-._]+|[-._]+$/g, "")
      .slice(0, 64) || "images"
  );
}
