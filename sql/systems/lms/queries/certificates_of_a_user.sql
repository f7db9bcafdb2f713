-- certificates_of_a_user: certificates of a user, newest first
-- since: 15
-- params: 'usr_000101'
-- params: 'usr_000102'
SELECT c."certificateNo", c."courseId", c."issuedAt"
FROM public.certificates AS c
WHERE c."userId" = $1
ORDER BY c."issuedAt" DESC;
