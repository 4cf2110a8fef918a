/** The official resend SDK, unmodified, against a Postrider process. */
import { type ErrorResponse, Resend, type Response } from 'resend';
import { testApiKey } from './postrider.ts';

export function resendFor({ url }: { readonly url: string }, key = testApiKey): Resend {
  return new Resend(key, { baseUrl: `${url}/v1` });
}

/** What was answered. @throws where it was an error */
export function dataOf<T>({ data, error }: Response<T>): T {
  if (error !== null) throw new Error(`the SDK was answered ${JSON.stringify(error)}`);
  return data;
}

/** The error that was answered. @throws where there was none */
export function errorOf({ data, error }: Response<unknown>): ErrorResponse {
  if (error === null) throw new Error(`the SDK was answered ${JSON.stringify(data)}`);
  return error;
}
