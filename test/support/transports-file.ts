/** A TRANSPORTS_FILE in a folder of its own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type TransportsFile = AsyncDisposable & { readonly path: string; write(text: string): Promise<void> };

export async function makeTransportsFile(text: string): Promise<TransportsFile> {
  const dir = await mkdtemp(join(tmpdir(), 'pr-transports-'));
  const path = join(dir, 'transports.yaml');
  const write = (next: string) => writeFile(path, next);
  await write(text);
  return { path, write, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}
