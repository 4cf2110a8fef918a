/** Which URLs client secret and refresh token may be sent to. */
import { describe, expect, it } from 'vitest';
import { tokenUrlFault } from '../../src/domain/token-url.ts';

describe('a token URL', () => {
  it.each([
    'https://oauth2.googleapis.com/token',
    'http://127.0.0.1:8080/token',
    'http://localhost/token',
    'http://[::1]:1/t',
  ])('%s may be used', (url) => {
    expect(tokenUrlFault(url)).toBeNull();
  });

  it.each([
    ['http://oauth2.googleapis.com/token', 'must be https, or http to a loopback host'],
    ['http://127.0.0.1.example/token', 'must be https, or http to a loopback host'],
    ['ftp://localhost/token', 'must be https, or http to a loopback host'],
    ['https://u:p@h.example/token', 'must not carry credentials'],
    ['/token', 'is not a URL'],
  ])('%s may not', (url, fault) => {
    expect(tokenUrlFault(url)).toBe(fault);
  });
});
