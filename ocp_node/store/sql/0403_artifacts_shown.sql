-- Strangers' lists leave out what is private: they must not walk past it.
CREATE INDEX mesh_artifact_shown ON mesh_artifact(created_at DESC, number) WHERE classification <> 'private';
