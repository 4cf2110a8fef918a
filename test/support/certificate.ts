/** A certificate for 127.0.0.1 and localhost, made once per test file, with the file Node needs to trust it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export type Certificate = AsyncDisposable & { readonly key: string; readonly cert: string; readonly file: string };

export async function makeCertificate(): Promise<Certificate> {
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  const dir = await mkdtemp(join(tmpdir(), 'pr-cert-'));
  const file = join(dir, 'cert.pem');
  await writeFile(file, pems.cert);
  return {
    key: pems.private,
    cert: pems.cert,
    file,
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}
