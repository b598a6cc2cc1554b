-- A request that is repeated after its decision was forgotten goes where it went before.
CREATE INDEX mesh_remote_job_request ON mesh_remote_job(request_id, number);
