/** A certificate for 127.0.0.1 and localhost, made once per test file, with the file Node needs to trust it and the one a server needs to use it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export type Certificate = AsyncDisposable & {
  readonly key: string;
  readonly cert: string;
  readonly file: string;
  readonly keyFile: string;
};

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
  const keyFile = join(dir, 'key.pem');
  await writeFile(file, pems.cert);
  await writeFile(keyFile, pems.private, { mode: 0o600 });
  return {
    key: pems.private,
    cert: pems.cert,
    file,
    keyFile,
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}
