BEGIN TRANSACTION;
CREATE TABLE accounts (
	id VARCHAR NOT NULL, 
	accepted DATETIME, 
	closed BOOLEAN NOT NULL, home VARCHAR DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "accounts" VALUES('test:ada','2026-11-27 09:37:18.772634',0,'test:house');
INSERT INTO "accounts" VALUES('test:ben','2026-11-27 09:37:18.756807',0,'test:house');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0013');
CREATE TABLE allowances (
	account VARCHAR NOT NULL, 
	bucket VARCHAR NOT NULL, 
	used_ms BIGINT NOT NULL, 
	cap_ms BIGINT NOT NULL, 
	ends DATETIME, 
	PRIMARY KEY (account, bucket), 
	CONSTRAINT within_cap CHECK (used_ms <= cap_ms), 
	CONSTRAINT no_negative_use CHECK (used_ms >= 0)
);
INSERT INTO "allowances" VALUES('test:ada','day 2026-11-27T00:00Z',2300,100000000,'2026-11-28 00:00:00.000000');
INSERT INTO "allowances" VALUES('test:ben','day 2026-11-27T00:00Z',600,100000000,'2026-11-28 00:00:00.000000');
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	"by" VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	surface VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	what VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	"before" TEXT NOT NULL, 
	"after" TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE erasures (
	member VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	erased BOOLEAN NOT NULL, 
	PRIMARY KEY (member)
);
CREATE TABLE identities (
	member VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	PRIMARY KEY (member)
);
CREATE TABLE installations (
	place VARCHAR NOT NULL, 
	sealed TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (place)
);
CREATE TABLE jobs (
	id VARCHAR NOT NULL, 
	surface VARCHAR NOT NULL, 
	event VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	user_id VARCHAR NOT NULL, 
	channel VARCHAR NOT NULL, 
	private BOOLEAN NOT NULL, 
	origin JSON NOT NULL, 
	request JSON NOT NULL, 
	source VARCHAR, 
	prompt TEXT NOT NULL, 
	folded TEXT NOT NULL, 
	style VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	parent VARCHAR, 
	parent_index INTEGER, 
	action VARCHAR NOT NULL, 
	estimate FLOAT NOT NULL, 
	device_seconds FLOAT NOT NULL, 
	measured FLOAT NOT NULL, 
	deaths INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	created DATETIME NOT NULL, 
	started DATETIME, 
	finished DATETIME, 
	delivered DATETIME, 
	message JSON, account VARCHAR DEFAULT '' NOT NULL, relaxed BOOLEAN DEFAULT 0 NOT NULL, seen_in TEXT DEFAULT '' NOT NULL, hidden BOOLEAN DEFAULT 0 NOT NULL, posted VARCHAR DEFAULT '' NOT NULL, note TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT one_job_per_event UNIQUE (surface, event)
);
INSERT INTO "jobs" VALUES('b46200c2cde3','test','event-140431180585552-0','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-0", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "a red fox in snow, anime, cel shading, clean lines, vivid colours", "seed": 11, "negative_prompt": "people, photo, 3d render", "model": "memory", "width": 64, "height": 64, "steps": 6, "guidance": 5.0, "count": 2, "source": null, "strength": 1.0, "upscale": 1}',NULL,'a red fox in snow','a red fox in snow','anime','rendered',NULL,NULL,'imagine',6.00000000000000088817e-01,0.6,6.00000000000000088817e-01,0,'','2026-11-27 09:37:17.336385','2026-11-27 09:37:17.348004','2026-11-27 09:37:17.623516','2026-11-27 09:37:17.651888','{"message": "b46200c2cde3"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('0753fc43a82d','test','event-140431180585552-1','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-1", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "an oil painting", "seed": 12, "negative_prompt": "", "model": "memory", "width": 80, "height": 64, "steps": 4, "guidance": 5.0, "count": 1, "source": "e0b226e02c3e678afc12f77dd08793e480e861df50ba4c29d614a5bcd012b93b.png", "strength": 0.3, "upscale": 1}','e0b226e02c3e678afc12f77dd08793e480e861df50ba4c29d614a5bcd012b93b.png','an oil painting','an oil painting','','rendered',NULL,NULL,'imagine',0.2,0.2,0.2,0,'','2026-11-27 09:37:17.842005','2026-11-27 09:37:17.848941','2026-11-27 09:37:17.902795','2026-11-27 09:37:17.917428','{"message": "0753fc43a82d"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('95f421366e46','test','event-140431180585552-2','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-2", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "only words", "seed": 13, "negative_prompt": "", "model": "memory", "width": 80, "height": 64, "steps": 4, "guidance": 5.0, "count": 1, "source": "e0b226e02c3e678afc12f77dd08793e480e861df50ba4c29d614a5bcd012b93b.png", "strength": 1.0, "upscale": 1}','e0b226e02c3e678afc12f77dd08793e480e861df50ba4c29d614a5bcd012b93b.png','only words','only words','','rendered',NULL,NULL,'imagine',0.2,0.2,0.2,0,'','2026-11-27 09:37:18.028118','2026-11-27 09:37:18.043290','2026-11-27 09:37:18.068916','2026-11-27 09:37:18.081904','{"message": "95f421366e46"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('63313087ba2e','test','event-140431180585552-3','test:house','test:ben','lobby',1,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ben", "name": "Ben", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-3", "reply": {}, "private": true, "adult": false, "language": "", "seen_in": []}','{"prompt": "a secret", "seed": 14, "negative_prompt": "", "model": "memory", "width": 80, "height": 64, "steps": 4, "guidance": 5.0, "count": 1, "source": null, "strength": 1.0, "upscale": 1}',NULL,'a secret','a secret','','rendered',NULL,NULL,'imagine',0.2,0.2,0.2,0,'','2026-11-27 09:37:18.088591','2026-11-27 09:37:18.098666','2026-11-27 09:37:18.123399','2026-11-27 09:37:18.132649','{"message": "63313087ba2e"}','test:ben',0,'',0,'','');
INSERT INTO "jobs" VALUES('cefee632c724','test','event-140431180585552-4','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-4", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "a red fox in snow, anime, cel shading, clean lines, vivid colours", "seed": 11, "negative_prompt": "people, photo, 3d render", "model": "memory", "width": 256, "height": 256, "steps": 6, "guidance": 5.0, "count": 1, "source": "39b80c0eba595db26ad57b9e0fb6aab4dd26204f915fcb5cb923db581696520f.png", "strength": 1.0, "upscale": 4}','39b80c0eba595db26ad57b9e0fb6aab4dd26204f915fcb5cb923db581696520f.png','a red fox in snow','a red fox in snow','anime','rendered','b46200c2cde3',0,'upscale',0.05,0.05,0.05,0,'','2026-11-27 09:37:18.139669','2026-11-27 09:37:18.147064','2026-11-27 09:37:18.191291','2026-11-27 09:37:18.198002','{"message": "cefee632c724"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('b246872546d4','test','event-140431180585552-5','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-5", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "a red fox in snow, anime, cel shading, clean lines, vivid colours", "seed": 8624654, "negative_prompt": "people, photo, 3d render", "model": "memory", "width": 64, "height": 64, "steps": 6, "guidance": 5.0, "count": 2, "source": "eb70e03f607e0f2bbb1fb60e5c5ef18b166621bfebce6ec879b4401832796343.png", "strength": 0.4, "upscale": 1}','eb70e03f607e0f2bbb1fb60e5c5ef18b166621bfebce6ec879b4401832796343.png','a red fox in snow','a red fox in snow','anime','rendered','b46200c2cde3',1,'vary_subtle',6.00000000000000088817e-01,0.6,6.00000000000000088817e-01,0,'','2026-11-27 09:37:18.203791','2026-11-27 09:37:18.207075','2026-11-27 09:37:18.295590','2026-11-27 09:37:18.304470','{"message": "b246872546d4"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('5dc9ca0f2ed8','test','event-140431180585552-6','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-6", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "", "seed": 15, "negative_prompt": "", "model": "memory", "width": 80, "height": 64, "steps": 4, "guidance": 5.0, "count": 1, "source": null, "strength": 0.6, "upscale": 1}',NULL,'','','','deleted',NULL,NULL,'imagine',0.2,0.2,0.2,0,'','2026-11-27 09:37:18.424428','2026-11-27 09:37:18.442133','2026-11-27 09:37:18.476304','2026-11-27 09:37:18.512396','{"message": "5dc9ca0f2ed8"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('29828a706c27','test','event-140431180585552-8','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-8", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "fail", "seed": 16, "negative_prompt": "", "model": "memory", "width": 64, "height": 64, "steps": 4, "guidance": 5.0, "count": 1, "source": null, "strength": 1.0, "upscale": 1}',NULL,'fail','fail','','failed',NULL,NULL,'imagine',0.2,0.0,0.0,0,'It broke.','2026-11-27 09:37:18.519871','2026-11-27 09:37:18.523762','2026-11-27 09:37:18.527314','2026-11-27 09:37:18.538058','{"message": "29828a706c27"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('886ae14011f9','test','event-140431180585552-9','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-9", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "a waiting wolf", "seed": 21, "negative_prompt": "", "model": "memory", "width": 64, "height": 64, "steps": 4, "guidance": 3.5, "count": 1, "source": null, "strength": 1.0, "upscale": 1}',NULL,'a waiting wolf','a waiting wolf','','queued',NULL,NULL,'imagine',0.2,0.0,0.0,0,'','2026-11-27 09:37:18.562537',NULL,NULL,NULL,'{"message": "886ae14011f9"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('39d1c8223d47','test','event-140431180585552-10','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-10", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "a waiting wolf in oil", "seed": 22, "negative_prompt": "", "model": "memory", "width": 80, "height": 64, "steps": 4, "guidance": 5.0, "count": 1, "source": "e0b226e02c3e678afc12f77dd08793e480e861df50ba4c29d614a5bcd012b93b.png", "strength": 0.7, "upscale": 1}','e0b226e02c3e678afc12f77dd08793e480e861df50ba4c29d614a5bcd012b93b.png','a waiting wolf in oil','a waiting wolf in oil','','queued',NULL,NULL,'imagine',0.2,0.0,0.0,0,'','2026-11-27 09:37:18.728121',NULL,NULL,NULL,'{"message": "39d1c8223d47"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('a30160cacc28','test','event-140431180585552-11','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-11", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "a red fox in snow, anime, cel shading, clean lines, vivid colours", "seed": 12, "negative_prompt": "people, photo, 3d render", "model": "memory", "width": 256, "height": 256, "steps": 6, "guidance": 5.0, "count": 1, "source": "eb70e03f607e0f2bbb1fb60e5c5ef18b166621bfebce6ec879b4401832796343.png", "strength": 1.0, "upscale": 4}','eb70e03f607e0f2bbb1fb60e5c5ef18b166621bfebce6ec879b4401832796343.png','a red fox in snow','a red fox in snow','anime','queued','b46200c2cde3',1,'upscale',0.05,0.0,0.0,0,'','2026-11-27 09:37:18.737859',NULL,NULL,NULL,'{"message": "a30160cacc28"}','test:ada',0,'',0,'','');
INSERT INTO "jobs" VALUES('1844f7bbfc87','test','event-140431180585552-12','test:house','test:ben','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ben", "name": "Ben", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-12", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "a relaxed wolf", "seed": 23, "negative_prompt": "", "model": "memory", "width": 64, "height": 64, "steps": 4, "guidance": 5.0, "count": 1, "source": null, "strength": 1.0, "upscale": 1}',NULL,'a relaxed wolf','a relaxed wolf','','queued',NULL,NULL,'imagine',0.2,0.0,0.0,0,'','2026-11-27 09:37:18.746696',NULL,NULL,NULL,'{"message": "1844f7bbfc87"}','test:ben',1,'',0,'','');
INSERT INTO "jobs" VALUES('cc5c2bdeb770','test','event-140431180585552-13','test:house','test:ben','lobby',1,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ben", "name": "Ben", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-13", "reply": {}, "private": true, "adult": false, "language": "", "seen_in": []}','{"prompt": "a private wolf", "seed": 24, "negative_prompt": "", "model": "memory", "width": 64, "height": 64, "steps": 4, "guidance": 5.0, "count": 2, "source": null, "strength": 1.0, "upscale": 1}',NULL,'a private wolf','a private wolf','','queued',NULL,NULL,'imagine',0.4,0.0,0.0,0,'','2026-11-27 09:37:18.756783',NULL,NULL,NULL,'{"message": "cc5c2bdeb770"}','test:ben',0,'',0,'','');
INSERT INTO "jobs" VALUES('72ab83e21708','test','event-140431180585552-14','test:house','test:ada','lobby',0,'{"surface": "test", "member": {"tenant": "test:house", "id": "test:ada", "name": "Ada", "admin": false, "roles": [], "guest": false, "moderates": []}, "channel": "lobby", "event": "event-140431180585552-14", "reply": {}, "private": false, "adult": false, "language": "", "seen_in": []}','{"prompt": "a cancelled one", "seed": 17, "negative_prompt": "", "model": "memory", "width": 64, "height": 64, "steps": 4, "guidance": 5.0, "count": 1, "source": null, "strength": 1.0, "upscale": 1}',NULL,'a cancelled one','a cancelled one','','cancelled',NULL,NULL,'imagine',0.2,0.0,0.0,0,'','2026-11-27 09:37:18.772611',NULL,'2026-11-27 09:37:18.782744','2026-11-27 09:37:18.793948','{"message": "72ab83e21708"}','test:ada',0,'',0,'','');
CREATE TABLE leader (
	id INTEGER NOT NULL, 
	term BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "leader" VALUES(1,1);
CREATE TABLE ledger (
	id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	job VARCHAR, 
	kind VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	bucket VARCHAR NOT NULL, 
	amount_ms BIGINT NOT NULL, 
	cap_ms BIGINT, 
	ends DATETIME, 
	at DATETIME NOT NULL, 
	"by" VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT no_negative_amounts CHECK (amount_ms >= 0 OR kind IN ('merge', 'gift')), 
	CONSTRAINT known_kinds CHECK (kind IN ('hold', 'charge', 'release', 'gift', 'reset', 'merge')), 
	UNIQUE ("key"), 
	FOREIGN KEY(job) REFERENCES jobs (id)
);
INSERT INTO "ledger" VALUES(1,'b46200c2cde3/hold/0','b46200c2cde3','hold','test:ada','day 2026-11-27T00:00Z',600,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:17.336430','');
INSERT INTO "ledger" VALUES(2,'b46200c2cde3/charge/0','b46200c2cde3','charge','test:ada','day 2026-11-27T00:00Z',600,NULL,NULL,'2026-11-27 09:37:17.623516','');
INSERT INTO "ledger" VALUES(3,'b46200c2cde3/release/0','b46200c2cde3','release','test:ada','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:17.623516','');
INSERT INTO "ledger" VALUES(4,'0753fc43a82d/hold/0','0753fc43a82d','hold','test:ada','day 2026-11-27T00:00Z',200,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:17.842043','');
INSERT INTO "ledger" VALUES(5,'0753fc43a82d/charge/0','0753fc43a82d','charge','test:ada','day 2026-11-27T00:00Z',200,NULL,NULL,'2026-11-27 09:37:17.902795','');
INSERT INTO "ledger" VALUES(6,'0753fc43a82d/release/0','0753fc43a82d','release','test:ada','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:17.902795','');
INSERT INTO "ledger" VALUES(7,'95f421366e46/hold/0','95f421366e46','hold','test:ada','day 2026-11-27T00:00Z',200,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.028165','');
INSERT INTO "ledger" VALUES(8,'95f421366e46/charge/0','95f421366e46','charge','test:ada','day 2026-11-27T00:00Z',200,NULL,NULL,'2026-11-27 09:37:18.068916','');
INSERT INTO "ledger" VALUES(9,'95f421366e46/release/0','95f421366e46','release','test:ada','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:18.068916','');
INSERT INTO "ledger" VALUES(10,'63313087ba2e/hold/0','63313087ba2e','hold','test:ben','day 2026-11-27T00:00Z',200,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.088615','');
INSERT INTO "ledger" VALUES(11,'63313087ba2e/charge/0','63313087ba2e','charge','test:ben','day 2026-11-27T00:00Z',200,NULL,NULL,'2026-11-27 09:37:18.123399','');
INSERT INTO "ledger" VALUES(12,'63313087ba2e/release/0','63313087ba2e','release','test:ben','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:18.123399','');
INSERT INTO "ledger" VALUES(13,'cefee632c724/hold/0','cefee632c724','hold','test:ada','day 2026-11-27T00:00Z',50,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.139698','');
INSERT INTO "ledger" VALUES(14,'cefee632c724/charge/0','cefee632c724','charge','test:ada','day 2026-11-27T00:00Z',50,NULL,NULL,'2026-11-27 09:37:18.191291','');
INSERT INTO "ledger" VALUES(15,'cefee632c724/release/0','cefee632c724','release','test:ada','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:18.191291','');
INSERT INTO "ledger" VALUES(16,'b246872546d4/hold/0','b246872546d4','hold','test:ada','day 2026-11-27T00:00Z',600,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.203820','');
INSERT INTO "ledger" VALUES(17,'b246872546d4/charge/0','b246872546d4','charge','test:ada','day 2026-11-27T00:00Z',600,NULL,NULL,'2026-11-27 09:37:18.295590','');
INSERT INTO "ledger" VALUES(18,'b246872546d4/release/0','b246872546d4','release','test:ada','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:18.295590','');
INSERT INTO "ledger" VALUES(19,'5dc9ca0f2ed8/hold/0','5dc9ca0f2ed8','hold','test:ada','day 2026-11-27T00:00Z',200,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.424464','');
INSERT INTO "ledger" VALUES(20,'5dc9ca0f2ed8/charge/0','5dc9ca0f2ed8','charge','test:ada','day 2026-11-27T00:00Z',200,NULL,NULL,'2026-11-27 09:37:18.476304','');
INSERT INTO "ledger" VALUES(21,'5dc9ca0f2ed8/release/0','5dc9ca0f2ed8','release','test:ada','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:18.476304','');
INSERT INTO "ledger" VALUES(22,'29828a706c27/hold/0','29828a706c27','hold','test:ada','day 2026-11-27T00:00Z',200,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.519902','');
INSERT INTO "ledger" VALUES(23,'29828a706c27/charge/0','29828a706c27','charge','test:ada','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:18.527314','');
INSERT INTO "ledger" VALUES(24,'29828a706c27/release/0','29828a706c27','release','test:ada','day 2026-11-27T00:00Z',200,NULL,NULL,'2026-11-27 09:37:18.527314','');
INSERT INTO "ledger" VALUES(25,'886ae14011f9/hold/0','886ae14011f9','hold','test:ada','day 2026-11-27T00:00Z',200,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.562565','');
INSERT INTO "ledger" VALUES(26,'39d1c8223d47/hold/0','39d1c8223d47','hold','test:ada','day 2026-11-27T00:00Z',200,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.728155','');
INSERT INTO "ledger" VALUES(27,'a30160cacc28/hold/0','a30160cacc28','hold','test:ada','day 2026-11-27T00:00Z',50,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.737881','');
INSERT INTO "ledger" VALUES(28,'1844f7bbfc87/hold/0','1844f7bbfc87','hold','test:ben','nothing',0,NULL,NULL,'2026-11-27 09:37:18.746728','');
INSERT INTO "ledger" VALUES(29,'cc5c2bdeb770/hold/0','cc5c2bdeb770','hold','test:ben','day 2026-11-27T00:00Z',400,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.756807','');
INSERT INTO "ledger" VALUES(30,'72ab83e21708/hold/0','72ab83e21708','hold','test:ada','day 2026-11-27T00:00Z',200,100000000,'2026-11-28 00:00:00.000000','2026-11-27 09:37:18.772634','');
INSERT INTO "ledger" VALUES(31,'72ab83e21708/charge/0','72ab83e21708','charge','test:ada','day 2026-11-27T00:00Z',0,NULL,NULL,'2026-11-27 09:37:18.782744','');
INSERT INTO "ledger" VALUES(32,'72ab83e21708/release/0','72ab83e21708','release','test:ada','day 2026-11-27T00:00Z',200,NULL,NULL,'2026-11-27 09:37:18.782744','');
CREATE TABLE link_codes (
	digest VARCHAR NOT NULL, 
	member VARCHAR NOT NULL, 
	expires DATETIME NOT NULL, 
	used BOOLEAN NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE TABLE people (
	tenant VARCHAR NOT NULL, 
	member VARCHAR NOT NULL, 
	tier VARCHAR NOT NULL, 
	blocked BOOLEAN NOT NULL, 
	until DATETIME, 
	reason TEXT NOT NULL, 
	strikes INTEGER NOT NULL, allowance JSON, 
	PRIMARY KEY (tenant, member)
);
CREATE TABLE "pictures" (
	job VARCHAR NOT NULL, 
	"index" INTEGER NOT NULL, 
	blob VARCHAR NOT NULL, 
	seed BIGINT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	adult BOOLEAN DEFAULT 0 NOT NULL, fingerprint VARCHAR DEFAULT '' NOT NULL, 
	PRIMARY KEY (job, "index"), 
	FOREIGN KEY(job) REFERENCES jobs (id)
);
INSERT INTO "pictures" VALUES('b46200c2cde3',0,'39b80c0eba595db26ad57b9e0fb6aab4dd26204f915fcb5cb923db581696520f.png',11,64,64,0,'66cd91329b326ccd6b949133144c66cd993699ba66cd74cc913b6e666ec49933');
INSERT INTO "pictures" VALUES('b46200c2cde3',1,'eb70e03f607e0f2bbb1fb60e5c5ef18b166621bfebce6ec879b4401832796343.png',12,64,64,0,'31ce66d999e69332ecc76d98673399e6911932626ccc6d91932699cc313b664e');
INSERT INTO "pictures" VALUES('b46200c2cde3',-1,'6cc8dc356712cf13246fcf70c845858b1e0c28553d022b9fa43a8f7200c1144b.png',11,136,64,0,'1c0c5292a1298c4a9ed473b15ad28caea16973735e96598de1eb8c6d9c6e73f2');
INSERT INTO "pictures" VALUES('0753fc43a82d',0,'238dbe3c4fd133c4873b7ce10b4a08c477555192de4b0db7b52cd56b1dbb1fbd.png',12,80,64,0,'3871834a4f84581fa3e1261fd80c69f0279b966c98e561db671b9e719867679e');
INSERT INTO "pictures" VALUES('95f421366e46',0,'98e1eeedd768db167e2377854837e9ad71e729cfdf8503bbee67d773126379bb.png',13,80,64,0,'1e3ce3c7d5ab2a5454abe1e32a541c28e1c3c2b62e5c55abe3c72a5454aae3c7');
INSERT INTO "pictures" VALUES('63313087ba2e',0,'c2e95c4d5d5129a175daf9d0c9d9d43eb3431c1df9b247e30e1128438ad65716.png',14,80,64,0,'cc19336619cce63339cc31c6e63119cc336698c8667339cece7bc63319ce6633');
INSERT INTO "pictures" VALUES('cefee632c724',0,'ae9e7399681ccec838e5dbed6beac1eff655467254d7f3d739fb85d3262d15ca.png',11,256,256,0,'66cd91329b326ccd6b949133144c66d9993699ba6eef54cc913a6e256ec59913');
INSERT INTO "pictures" VALUES('b246872546d4',0,'d000c9dbbe53ec41cd2c7d8390563eed10cdbb5c49fa3b91aaa854fe511c4b9f.png',8624654,64,64,0,'39ce467999c6b330c6462d9c73338d6e91b1c2726ccd39919326c9ac339b666d');
INSERT INTO "pictures" VALUES('b246872546d4',1,'f105497ec89b700a16cfd2da0c0acb34e973ad21e4c28b117775caa9fbc716c8.png',8624655,64,64,0,'339966c898c6b33176667e8c6ab381679f349e6a60cd61919f66cd44708b64fc');
INSERT INTO "pictures" VALUES('b246872546d4',-1,'5caf7e5c07bea6f9a40a4555a4d9f02323de2b6f52dd8e3e49fc333047f3b352.png',8624654,136,64,0,'4bc95e96a5e1a3cbd85e0fa44e8fb059a1a0e9161edc4ac9e13731a1d6495edc');
INSERT INTO "pictures" VALUES('5dc9ca0f2ed8',0,'a67e08c2b1a1d5834c14fc3107e0b997e4cabe1c67375ec721053e71719ac3a1.png',15,80,64,0,'4c30f1c739ce1c38c78f1fcfe020e0701e1f381e3fe31fe7f000e3800c3fe78f');
CREATE TABLE policies (
	tenant VARCHAR NOT NULL, 
	policy JSON NOT NULL, 
	PRIMARY KEY (tenant)
);
CREATE TABLE preferences (
	user VARCHAR NOT NULL, 
	style VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	count INTEGER, 
	aspect VARCHAR NOT NULL, 
	private BOOLEAN NOT NULL, size VARCHAR DEFAULT '' NOT NULL, tells_prompt BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (user)
);
CREATE TABLE reports (
	job VARCHAR NOT NULL, 
	member VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (job, member), 
	FOREIGN KEY(job) REFERENCES jobs (id)
);
CREATE TABLE retention (
	id INTEGER NOT NULL, 
	believed DATETIME NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE reviews (
	job VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	decision VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	PRIMARY KEY (job), 
	FOREIGN KEY(job) REFERENCES jobs (id)
);
CREATE TABLE strikes (
	"key" VARCHAR NOT NULL, 
	member VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	category VARCHAR NOT NULL, 
	job VARCHAR, 
	cool_off DATETIME, 
	told BOOLEAN NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE web_links (
	digest VARCHAR NOT NULL, 
	member VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	person JSON NOT NULL, 
	expires DATETIME NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE TABLE web_sessions (
	digest VARCHAR NOT NULL, 
	member VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	person JSON NOT NULL, 
	browser VARCHAR NOT NULL, 
	made DATETIME NOT NULL, 
	used DATETIME NOT NULL, 
	expires DATETIME NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE INDEX jobs_by_tenant ON jobs (tenant, created);
CREATE INDEX jobs_by_user ON jobs (user_id, state);
CREATE INDEX jobs_by_state ON jobs (state, created);
CREATE INDEX jobs_by_account ON jobs (account, state);
CREATE INDEX identities_by_account ON identities (account);
CREATE INDEX ledger_by_bucket ON ledger (account, bucket);
CREATE INDEX ledger_by_job ON ledger (job);
CREATE INDEX people_by_member ON people (member);
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX reviews_by_tenant ON reviews (tenant, decision);
CREATE INDEX strikes_by_member ON strikes (member, tenant);
CREATE INDEX jobs_by_message ON jobs (posted);
CREATE INDEX web_sessions_by_member ON web_sessions (member);
COMMIT;
