BEGIN TRANSACTION;
CREATE TABLE artifacts (
	id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	target TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_artifacts PRIMARY KEY (id), 
	CONSTRAINT fk_artifacts_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "artifacts" VALUES(1,1,'/work/demo.nas','x86-64-v3','cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd','2026-11-29 01:32:18.319729');
CREATE TABLE bitnas_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT bitnas_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "bitnas_version" VALUES('0001');
CREATE TABLE devices (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	target TEXT, 
	description JSON, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_devices PRIMARY KEY (id), 
	CONSTRAINT uq_devices_name UNIQUE (name)
);
INSERT INTO "devices" VALUES(1,'cpu | 1 thread','llvm','{"cpu": "model", "features": ["avx2"]}','2026-11-29 01:32:18.322179');
CREATE TABLE epochs (
	trial_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	train_loss DOUBLE NOT NULL, 
	accuracy DOUBLE NOT NULL, 
	seconds DOUBLE NOT NULL, 
	CONSTRAINT pk_epochs PRIMARY KEY (trial_id, epoch), 
	CONSTRAINT fk_epochs_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "epochs" VALUES(1,1,2.0,0.5,0.25);
INSERT INTO "epochs" VALUES(1,2,1.0,6.00000000000000088817e-01,0.25);
INSERT INTO "epochs" VALUES(3,1,2.0,0.5,0.25);
INSERT INTO "epochs" VALUES(4,1,2.0,0.5,0.25);
CREATE TABLE measurements (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	workload TEXT NOT NULL, 
	milliseconds DOUBLE NOT NULL, 
	iqr_ms DOUBLE NOT NULL, 
	samples INTEGER NOT NULL, 
	date VARCHAR(64) NOT NULL, 
	tvm_version VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_measurements PRIMARY KEY (id), 
	CONSTRAINT fk_measurements_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (id)
);
INSERT INTO "measurements" VALUES(1,1,'conv2d(a)',1.0,0.1,12,'2026-11-20T10:00:00+00:00','0.27.0');
CREATE TABLE searches (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	config JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_searches PRIMARY KEY (id), 
	CONSTRAINT uq_searches_name UNIQUE (name)
);
INSERT INTO "searches" VALUES(1,'demo','{"space": "tiny", "data": "digits", "device": "local", "trials": 5, "epochs": 2, "sampler": "tpe", "seed": 0, "max_latency_ms": 2.0, "max_size_kb": null, "pruner": "none"}','2026-11-29 01:32:18.140356');
CREATE TABLE trials (
	id INTEGER NOT NULL, 
	search_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	owner TEXT, 
	expires_at DATETIME, 
	fence INTEGER NOT NULL, 
	deaths INTEGER NOT NULL, 
	choices JSON, 
	architecture TEXT, 
	digest VARCHAR(64), 
	latency_ms DOUBLE, 
	latency_by_workload JSON, 
	size_kb DOUBLE, 
	accuracy DOUBLE, 
	measured_latency_ms DOUBLE, 
	error TEXT, 
	started_at DATETIME, 
	finished_at DATETIME, 
	CONSTRAINT pk_trials PRIMARY KEY (id), 
	CONSTRAINT fk_trials_search_id_searches FOREIGN KEY(search_id) REFERENCES searches (id), 
	CONSTRAINT uq_trials_search_id_number UNIQUE (search_id, number), 
	CONSTRAINT ck_trials_state CHECK (state IN ('queued', 'running', 'complete', 'infeasible', 'pruned', 'failed'))
);
INSERT INTO "trials" VALUES(1,1,0,'complete','lab|4242|1000|boot-1/4026531836',NULL,2,0,'{}','{"space":"tiny","n":1}','0000000000000000000000000000000000000000000000000000000000000001',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,0.6,1.6,NULL,'2026-11-29 01:32:18.180816','2026-11-29 01:32:18.217611');
INSERT INTO "trials" VALUES(2,1,1,'infeasible','lab|4242|1000|boot-1/4026531836',NULL,1,0,'{}','{"space":"tiny","n":2}','0000000000000000000000000000000000000000000000000000000000000002',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,NULL,NULL,'latency 3 ms is over the limit of 2 ms','2026-11-29 01:32:18.272909','2026-11-29 01:32:18.280887');
INSERT INTO "trials" VALUES(3,1,2,'pruned','lab|4242|1000|boot-1/4026531836',NULL,1,0,'{}','{"space":"tiny","n":3}','0000000000000000000000000000000000000000000000000000000000000003',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,NULL,NULL,NULL,'2026-11-29 01:32:18.288548','2026-11-29 01:32:18.300012');
INSERT INTO "trials" VALUES(4,1,3,'running','lab|4242|1000|boot-1/4026531836','2026-11-29 01:33:18.309328',1,0,'{}','{"space":"tiny","n":4}','0000000000000000000000000000000000000000000000000000000000000004',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,NULL,NULL,NULL,'2026-11-29 01:32:18.301842',NULL);
INSERT INTO "trials" VALUES(5,1,4,'queued',NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE INDEX ix_measurements_device_id_workload ON measurements (device_id, workload);
COMMIT;
