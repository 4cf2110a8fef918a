/** Transport plan: the SMTP accounts there are, with the limits of each. */
import type { Rate } from './rate.ts';

export type Auth =
  | {
      readonly kind: 'password';
      readonly user: string;
      readonly pass: string;
      /** Null: the best the server offers. */
      readonly method: 'PLAIN' | 'LOGIN' | 'CRAM-MD5' | null;
    }
  /** XOAUTH2. */
  | {
      readonly kind: 'oauth2';
      readonly user: string;
      readonly clientId: string;
      readonly clientSecret: string;
      readonly refreshToken: string;
      readonly tokenUrl: string;
    };

export type TransportSettings = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly implicitTls: boolean;
  readonly tls: 'require' | 'opportunistic' | 'none';
  readonly verifyCertificate: boolean;
  /** PEM. */
  readonly ca: string | null;
  /** PEM. */
  readonly clientCertificate: { readonly cert: string; readonly key: string } | null;
  readonly auth: Auth | null;
  /** Of the whole fleet. */
  readonly connections: number;
  readonly messagesPerConnection: number;
  /** Of a connection. */
  readonly maxAgeMs: number;
  /** Rate and quota together. */
  readonly rates: readonly Rate[];
};
