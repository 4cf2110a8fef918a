/** Trouble of TLS in words: what a reader can use of the entries of OpenSSL, on one line that is the same in every process. */
import { expect, it } from 'vitest';
import { inPlainWords } from '../../src/domain/tls-trouble.ts';

const version =
  '401D0A82157F0000:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../deps/openssl/openssl/ssl/record/methods/tlsany_meth.c:77:\n';
const alert =
  '80ABF0C3:error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure:../deps/openssl/openssl/ssl/record/rec_layer_s3.c:918:SSL alert number 40\n';

it.each([
  [version, 'SSL routines: wrong version number'],
  [alert, 'SSL routines: ssl/tls alert handshake failure'],
  [`write EPROTO ${version}`, 'write EPROTO SSL routines: wrong version number'],
  [version + alert, 'SSL routines: wrong version number; SSL routines: ssl/tls alert handshake failure'],
  ['error:0308010C:digital envelope routines::unsupported', 'digital envelope routines: unsupported'],
  [
    'self-signed certificate; if the root CA is installed locally, try running Node.js with --use-system-ca',
    'self-signed certificate',
  ],
  ['connect ECONNREFUSED 192.0.2.1:443', 'connect ECONNREFUSED 192.0.2.1:443'],
  ['Invalid greeting: 554-No\n554 error: none', 'Invalid greeting: 554-No\n554 error: none'],
])('%j', (message, words) => {
  expect(inPlainWords(message)).toBe(words);
});
