/** The causes of trouble between us and a next hop that is the transport's own: the one list. */

/** Each cause with its meaning. */
export const causeMeanings = {
  dns: 'its host name could not be resolved',
  connect: 'no connection could be made, or it broke before mail was handed over',
  tls: 'TLS failed, is missing, or its certificate was refused',
  login: 'the server refused the login',
  limit: 'the allowance of this account is used up, or the account is stopped for now',
  protocol: 'the server did not speak proper SMTP, or takes no mail from us for now',
} as const;

export type FaultCause = keyof typeof causeMeanings;
export const faultCauses = Object.keys(causeMeanings) as readonly FaultCause[];
