/** Secrets generated once for development and kept in the data folder, readable by the owner only. */
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inDataDir, makeFolder } from './data-dir.ts';

/** Random bytes. */
type Entropy = (bytes: number) => Buffer;

type Secrets = { readonly apiKey: string; readonly secretKey: Buffer };

/** The configured secrets; a secret that is not configured is generated for this data folder. */
export async function openSecrets(
  dataDir: string,
  entropy: Entropy,
  given: { [name in keyof Secrets]?: Secrets[name] | undefined },
): Promise<Secrets> {
  const place = { dataDir, entropy };
  const apiKey =
    given.apiKey ??
    (await readOrMake(place, 'api-key', /^pr_[\w-]{20,}$/, () => `pr_${entropy(24).toString('base64url')}`));
  const secretKey =
    given.secretKey ??
    Buffer.from(await readOrMake(place, 'secret-key', /^[0-9a-f]{64}$/, () => entropy(32).toString('hex')), 'hex');
  return { apiKey, secretKey };
}

/**
 * The secret in `dataDir/name`, generated at first use. Two processes that generate it at the same time get the same one.
 * @throws when the file holds something else
 */
async function readOrMake(
  { dataDir, entropy }: { readonly dataDir: string; readonly entropy: Entropy },
  name: string,
  form: RegExp,
  make: () => string,
): Promise<string> {
  const path = join(dataDir, name);
  const secret = await inDataDir(dataDir, async () => {
    await makeFolder(dataDir);
    return (await readIfThere(path)) ?? (await makeSecret(path, `${path}.${entropy(8).toString('hex')}`, make));
  });
  if (!form.test(secret.trim()))
    throw new Error(`${path} does not hold what Postrider wrote. Delete it to have a new one made.`);
  return secret.trim();
}

async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    // Of a folder the error does not name the path.
    if (error.code !== 'ENOENT') throw Object.assign(error, { path });
    return null;
  });
}

/** Writes the temporary file `draft` and links it into place: the file is never incomplete, and the first link wins. */
async function makeSecret(path: string, draft: string, make: () => string): Promise<string> {
  await writeFile(draft, `${make()}\n`, { mode: 0o600, flag: 'wx', flush: true });
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(draft);
  return readFile(path, 'utf8');
}
