/** Secrets generated once for development and kept in the data folder, readable by the owner only. */
import { randomBytes, randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inDataDir, makeFolder } from './data-dir.ts';

type Secrets = { readonly apiKey: string; readonly secretKey: Buffer };

/** The configured secrets; a secret that is not configured is generated for this data folder. */
export async function openSecrets(
  dataDir: string,
  given: { [name in keyof Secrets]?: Secrets[name] | undefined },
): Promise<Secrets> {
  const apiKey =
    given.apiKey ??
    (await readOrMake(dataDir, 'api-key', /^pr_[\w-]{20,}$/, () => `pr_${randomBytes(24).toString('base64url')}`));
  const secretKey =
    given.secretKey ??
    Buffer.from(
      await readOrMake(dataDir, 'secret-key', /^[0-9a-f]{64}$/, () => randomBytes(32).toString('hex')),
      'hex',
    );
  return { apiKey, secretKey };
}

/**
 * The secret in `dataDir/name`, generated at first use. Two processes that generate it at the same time get the same one.
 * @throws when the file holds something else
 */
async function readOrMake(dataDir: string, name: string, form: RegExp, make: () => string): Promise<string> {
  const path = join(dataDir, name);
  const secret = await inDataDir(dataDir, async () => {
    await makeFolder(dataDir);
    return (await readIfThere(path)) ?? (await makeSecret(path, make));
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

/** Writes a temporary file and links it into place: the file is never incomplete, and the first link wins. */
async function makeSecret(path: string, make: () => string): Promise<string> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, `${make()}\n`, { mode: 0o600, flag: 'wx', flush: true });
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(draft);
  return readFile(path, 'utf8');
}
