/** Texts of a TRANSPORTS_FILE read with variables and files that are made up; `hunter2` stands in them for every secret. */
import { expect } from 'vitest';
import type { TransportPlan } from '../../src/domain/transport-plan.ts';
import { readTransportsYaml } from '../../src/outbound/transports-yaml.ts';
import { makeCertificate } from './certificate.ts';

export const variables: Readonly<Record<string, string>> = {
  SES_USER: 'AKIA',
  SES_PASSWORD: 'hunter2/+@x: {y: 1}',
  LOTS: '7',
  YAML: 'x.example, port: 1, auth: {user: evil, pass: evil}',
};

export type Reader = {
  readonly certificate: { readonly cert: string; readonly key: string };
  /** `«X»` stands for a place to fill. */
  read(text: string): TransportPlan | { readonly faults: readonly string[] };
  faultsOf(text: string): readonly string[];
};

export async function makeReader(): Promise<Reader> {
  await using certificate = await makeCertificate();
  await using other = await makeCertificate();
  const { cert, key } = certificate;
  const files: Readonly<Record<string, string>> = {
    '/run/secrets/smtp': 'hunter2\n',
    '/etc/ca.pem': cert,
    '/etc/key.pem': key,
    '/etc/other.pem': other.key,
    '/etc/broken.pem': '-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n',
  };

  function file(path: string) {
    const text = files[path];
    return text === undefined ? { fault: 'cannot be read (ENOENT)' } : { text };
  }

  function read(text: string) {
    const template = text.replaceAll('«', '$'.concat('{')).replaceAll('»', '}');
    return readTransportsYaml(template, { variable: (name) => variables[name], file });
  }

  function faultsOf(text: string) {
    const faults = read(text);
    if (!('faults' in faults)) throw new Error('It has no faults');
    expect(faults.faults.join()).not.toContain('hunter2');
    return faults.faults;
  }

  return { certificate: { cert, key }, read, faultsOf };
}
