-- session_of_a_token: session of a token, unless it has expired
-- since: 15
-- params: 'c51ecc80a83bec4529a44adedf807db6'
SELECT s.user_id, s.expires_at
FROM public.user_sessions AS s
WHERE s.token = $1 AND s.expires_at > now();
